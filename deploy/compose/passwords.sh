#!/bin/sh
# Runs before the broker: makes, once, a random password for each user of deploy/mosquitto/acl, and the broker's file of
# them. Each file can be read by its reader alone. To make new ones: docker compose down, remove the volume "secrets".
set -eu
cd "${SECRETS:-/secrets}"
# mosquitto warns of an access list that is not its own, and that a later version will refuse it.
# A new file each time: what was given away cannot be changed any more without the right to (CAP_FOWNER).
rm -f acl.new
cp "${ACL:-/acl}" acl.new
chmod 600 acl.new
chown 1883:1883 acl.new
mv -f acl.new acl
if [ -s passwords ]; then exit 0; fi
umask 077
: >new
for user in edge_service home_assistant health; do
    password=$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')
    printf '%s' "$password" >"mqtt_$user"
    mosquitto_passwd -b new "$user" "$password"
done
# What mosquitto_pub reads for the broker's health check.
printf -- '-u health\n-P %s\n' "$(cat mqtt_health)" >mosquitto_pub
chown 1883:1883 new mosquitto_pub mqtt_health
chown 1000:1000 mqtt_edge_service
chmod 755 .
mv new passwords
