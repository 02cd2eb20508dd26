#!/usr/bin/env bash
# make_secrets.sh: passwords, the object store's identity and the folders that compose.yaml mounts, below deploy/local.
# What is there already is kept. Nothing is printed; the files are for this user alone.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
mkdir -p local/secrets local/keys local/audit local/cache

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# Containers with a user of their own (PostgreSQL, Grafana, SeaweedFS) read their secrets too: the folder is closed.
put() {
    [[ -e local/secrets/$1 ]] || printf '%s' "$2" >"local/secrets/$1"
    chmod 644 "local/secrets/$1"
}
put postgres_password "$(random)"
put grafana_password "$(random)"
if [[ ! -e local/secrets/s3_credentials || ! -e local/secrets/s3_identities.json ]]; then
    rm -f local/secrets/s3_credentials local/secrets/s3_identities.json
    id=$(random)
    secret=$(random)
    put s3_credentials "[default]
aws_access_key_id = $id
aws_secret_access_key = $secret
"
    put s3_identities.json "{\"identities\": [{\"name\": \"mlflow\",
  \"credentials\": [{\"accessKey\": \"$id\", \"secretKey\": \"$secret\"}],
  \"actions\": [\"Admin\", \"Read\", \"Write\", \"List\", \"Tagging\"]}]}
"
fi
# The containers run as this user, who then owns what they write; as root they would be root, so they are 10001 then.
if [[ ! -e .env ]]; then
    uid=$(id -u)
    gid=$(id -g)
    if [[ $uid == 0 ]]; then
        uid=10001
        gid=10001
        chown -R "$uid:$gid" local/keys local/audit local/cache
    fi
    printf 'CELLMARK_UID=%s\nCELLMARK_GID=%s\n' "$uid" "$gid" >.env
fi
