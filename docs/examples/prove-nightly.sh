#!/bin/sh
# Proves the newest backup in a directory. For cron, as a user who may read the
# backups and start servers:
#
#   30 4 * * *  /usr/local/bin/prove-nightly.sh /backups /var/lib/prove --amcheck --dump
#
# It is silent if everything held, so that cron's mail is the alarm. The report of
# each backup stays in the second directory.
set -eu

backups=${1:?usage: prove-nightly.sh BACKUPS REPORTS [OPTION OF PROVE]...}
reports=${2:?usage: prove-nightly.sh BACKUPS REPORTS [OPTION OF PROVE]...}
shift 2

newest=$(ls -1 "$backups" | sort | tail -n 1)
if [ -z "$newest" ]; then
    echo "there is no backup in $backups" >&2
    exit 1
fi
mkdir -p "$reports"
report=$reports/$newest

if ! pgbasin prove --junit "$report.xml" "$@" "$backups/$newest" > "$report.txt" 2>&1; then
    cat "$report.txt"
    exit 1
fi
