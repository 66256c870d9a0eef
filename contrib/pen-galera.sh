#!/bin/sh
# Checks a node of Galera for pen: "check exec pen-galera.sh [-d 1|2|3] [OPTION OF mysql]...", with "discover" for its members.
#
#   check exec /usr/share/pen/pen-galera.sh --defaults-extra-file=/etc/pen/check.cnf
#
# pen starts it once for each node with HOST:PORT as the first word, and asks by a line "poll". Behind it, options go to the
# client "mariadb" or "mysql"; the account needs no privileges. A donor has the state of -d (2: used only where no other node
# is left).
#
#   3  synced, ready, and part of the primary component     2  donor or desynced (or as -d says), joined
#   1  there, and not to be used: no quorum, joining         0  not reached
set -u

host=${1%:*} port=${1##*:}
host=${host#\[} host=${host%\]}
shift
donor=2
if [ "${1:-}" = -d ]; then
    donor=$2
    shift 2
fi
client=$(command -v mariadb || command -v mysql) || {
    echo "pen-galera.sh: neither mariadb nor mysql is installed" >&2
    exit 1
}

# Name and value of each variable, a line each.
ask() {
    "$client" "$@" --host="$host" --port="$port" --protocol=tcp --connect-timeout=2 --batch --skip-column-names --execute="
        SHOW GLOBAL STATUS WHERE Variable_name IN
            ('wsrep_local_state', 'wsrep_ready', 'wsrep_cluster_status', 'wsrep_incoming_addresses')"
}

answer() {
    status=$(ask "$@") || {
        echo 0
        return
    }
    state='' ready='' cluster='' members=''
    while read -r name value; do
        case $name in
        wsrep_local_state) state=$value ;;
        wsrep_ready) ready=$value ;;
        wsrep_cluster_status) cluster=$value ;;
        wsrep_incoming_addresses) members=$value ;;
        esac
    done <<END
$status
END
    # A node that lost the others lists itself alone, and a server without Galera has no such variables.
    case "$state/$ready/$cluster" in
    //) echo 3 ;;
    4/ON/Primary) echo "3 $members" ;;
    3/ON/Primary) echo 2 ;;
    2/ON/Primary) echo "$donor" ;;
    *)
        echo "wsrep_local_state $state, wsrep_ready $ready, wsrep_cluster_status $cluster" >&2
        echo 1
        ;;
    esac
}

while read -r word && [ "$word" = poll ]; do
    answer "$@"
done
