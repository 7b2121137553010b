-- The tables of version 1, as they were. Never changed: migrations are tried on them.
CREATE TABLE cameras (
    id INTEGER NOT NULL,
    camera TEXT NOT NULL,
    kept INTEGER DEFAULT 0 NOT NULL,
    rejected INTEGER DEFAULT 0 NOT NULL,
    failed INTEGER DEFAULT 0 NOT NULL,
    skipped INTEGER DEFAULT 0 NOT NULL,
    delivered INTEGER DEFAULT 0 NOT NULL,
    dropped INTEGER DEFAULT 0 NOT NULL,
    extra INTEGER DEFAULT 0 NOT NULL,
    queue_frames INTEGER DEFAULT 0 NOT NULL,
    queue_bytes INTEGER DEFAULT 0 NOT NULL,
    spool_bytes INTEGER DEFAULT 0 NOT NULL,
    failures INTEGER DEFAULT 0 NOT NULL,
    last_number INTEGER DEFAULT 0 NOT NULL,
    last_result TEXT,
    last_reason TEXT,
    last_error TEXT,
    captured_at INTEGER,
    delivered_at INTEGER,
    last_frame INTEGER,
    PRIMARY KEY (id),
    UNIQUE (camera)
);
CREATE TABLE hours (
    camera INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    kept INTEGER DEFAULT 0 NOT NULL,
    rejected INTEGER DEFAULT 0 NOT NULL,
    failed INTEGER DEFAULT 0 NOT NULL,
    skipped INTEGER DEFAULT 0 NOT NULL,
    outside INTEGER DEFAULT 0 NOT NULL,
    stopped INTEGER DEFAULT 0 NOT NULL,
    down INTEGER DEFAULT 0 NOT NULL,
    clock INTEGER DEFAULT 0 NOT NULL,
    delivered INTEGER DEFAULT 0 NOT NULL,
    waiting INTEGER DEFAULT 0 NOT NULL,
    dropped INTEGER DEFAULT 0 NOT NULL,
    extra INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (camera, hour)
)
 WITHOUT ROWID;
CREATE TABLE days (
    camera INTEGER NOT NULL,
    "begin" INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    kept INTEGER DEFAULT 0 NOT NULL,
    rejected INTEGER DEFAULT 0 NOT NULL,
    failed INTEGER DEFAULT 0 NOT NULL,
    skipped INTEGER DEFAULT 0 NOT NULL,
    outside INTEGER DEFAULT 0 NOT NULL,
    stopped INTEGER DEFAULT 0 NOT NULL,
    down INTEGER DEFAULT 0 NOT NULL,
    clock INTEGER DEFAULT 0 NOT NULL,
    delivered INTEGER DEFAULT 0 NOT NULL,
    waiting INTEGER DEFAULT 0 NOT NULL,
    dropped INTEGER DEFAULT 0 NOT NULL,
    extra INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (camera, "begin")
)
 WITHOUT ROWID;
CREATE TABLE halts (
    id INTEGER NOT NULL,
    camera TEXT,
    "begin" INTEGER NOT NULL,
    "end" INTEGER,
    PRIMARY KEY (id)
);
CREATE TABLE memory (
    "key" TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY ("key")
);
CREATE TABLE commands (
    id TEXT NOT NULL,
    digest TEXT NOT NULL,
    answer TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX commands_at ON commands (at);
CREATE TABLE announced (
    topic TEXT NOT NULL,
    PRIMARY KEY (topic)
);
CREATE TABLE alembic_version (
    version_num TEXT NOT NULL,
    PRIMARY KEY (version_num)
);
CREATE TABLE frames (
    id INTEGER NOT NULL,
    camera INTEGER NOT NULL,
    segment INTEGER DEFAULT 0 NOT NULL,
    slot_at INTEGER,
    captured_at INTEGER NOT NULL,
    at INTEGER NOT NULL,
    number INTEGER DEFAULT 0 NOT NULL,
    file TEXT DEFAULT '' NOT NULL,
    path TEXT DEFAULT '' NOT NULL,
    path_hash INTEGER,
    format TEXT DEFAULT '' NOT NULL,
    bytes INTEGER DEFAULT 0 NOT NULL,
    width INTEGER DEFAULT 0 NOT NULL,
    height INTEGER DEFAULT 0 NOT NULL,
    sha256 BLOB,
    content_hash BLOB,
    state INTEGER DEFAULT 0 NOT NULL,
    due_at INTEGER DEFAULT 0 NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    maybe_there INTEGER DEFAULT 0 NOT NULL,
    unsure INTEGER DEFAULT 0 NOT NULL,
    mono_ms INTEGER DEFAULT 0 NOT NULL,
    boot_id TEXT DEFAULT '' NOT NULL,
    delivered_at INTEGER,
    rev TEXT,
    receipt_path TEXT,
    reason TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(camera) REFERENCES cameras (id)
);
CREATE INDEX frames_at ON frames (camera, at);
CREATE INDEX frames_file ON frames (state, due_at, at, camera, bytes) WHERE file != '';
CREATE INDEX frames_path ON frames (path_hash) WHERE path_hash IS NOT NULL;
CREATE TABLE segments (
    id INTEGER NOT NULL,
    camera INTEGER NOT NULL,
    "plan" TEXT NOT NULL,
    "begin" INTEGER NOT NULL,
    "end" INTEGER,
    settled INTEGER NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(camera) REFERENCES cameras (id)
);
CREATE INDEX segments_camera ON segments (camera, id);
CREATE TABLE runs (
    id INTEGER NOT NULL,
    camera INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    slots INTEGER NOT NULL,
    fate TEXT NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(camera) REFERENCES cameras (id)
);
CREATE INDEX runs_first ON runs (camera, first);
INSERT INTO alembic_version VALUES ('0001');
PRAGMA application_id=1162105686;
PRAGMA user_version=1;
