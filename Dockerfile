# edge_service as an image, for amd64 and arm64:  docker build -t edge_service .
# scripts/image builds it, runs it and checks what is promised of it. Only syntax that every builder reads.

FROM docker.io/library/python:3.13-slim-trixie AS build
# strip: the debug symbols of compiled packages are a tenth of the image.
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY requirements.lock ./
# A venv works on every base and takes nothing from the system's packages; pip itself stays outside.
RUN python3 -m venv --without-pip /opt/edge_service \
    && python3 -m pip --python /opt/edge_service/bin/python install --no-cache-dir --no-compile --no-deps \
        --disable-pip-version-check --root-user-action ignore --require-hashes --requirement requirements.lock
# What only the command lines of libraries use, and other databases' tests.
RUN cd /opt/edge_service/lib/python3.13/site-packages \
    && rm -rf pygments pygments-* rich rich-* typer typer-* shellingham shellingham-* markdown_it markdown_it_py-* \
        mdurl mdurl-* sqlalchemy/testing \
    && find . -name '*.so' -not -path '*.libs/*' -exec strip --strip-unneeded {} + \
    && find . -name '*.pyi' -delete
COPY edge_service /opt/edge_service/lib/python3.13/site-packages/edge_service
# Compiled code starts in a quarter of the time; nothing in an image changes, so it is not compared with its source.
RUN printf '#!/bin/sh\nexec /opt/edge_service/bin/python -m edge_service "$@"\n' >/opt/edge_service/bin/edge-service \
    && chmod 755 /opt/edge_service/bin/edge-service \
    && /opt/edge_service/bin/python -m compileall -q -f --invalidation-mode unchecked-hash /opt/edge_service/lib

FROM docker.io/library/python:3.13-slim-trixie AS service
# tini is process 1: it hands on signals from the first moment and reaps.
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log /var/cache/debconf/*-old \
    && python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))' >/tmp/stdlib \
    && python3 -m compileall -q -x '/(site-packages|dist-packages|test|idlelib|tkinter|ensurepip|turtledemo|lib2to3)/' \
        "$(cat /tmp/stdlib)" \
    && rm /tmp/stdlib \
    && mkdir -p /data /config \
    && chown 1000:1000 /data
COPY --from=build /opt/edge_service /opt/edge_service
ENV PATH=/opt/edge_service/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    EDGE_SERVICE__DATA_DIR=/data \
    EDGE_SERVICE__WEB__HOST=0.0.0.0
LABEL org.opencontainers.image.title="edge_service" \
    org.opencontainers.image.description="A headless time-lapse node: every planned frame accounted for, every kept frame delivered exactly once, with proof." \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.base.name="docker.io/library/python:3.13-slim-trixie"
# Where ./config.yaml is looked for: it may be missing, all settings can come from the environment.
WORKDIR /config
VOLUME /data
EXPOSE 8080
# The first user of a Raspberry Pi: a folder of that user needs no chown.
USER 1000:1000
HEALTHCHECK --interval=2m --timeout=10s --start-period=30s --retries=3 CMD ["edge-service", "health"]
ENTRYPOINT ["tini", "--", "edge-service"]
CMD ["run"]
