#!/usr/bin/env bash
# Tries `check exec contrib/pen-galera.sh` and `discover` with real nodes of MariaDB Galera on loopback. Takes about two minutes;
# run by hand, as root (the nodes run as the user mysql): tests/galera.sh [PEN]. Needs the Debian packages mariadb-server,
# galera-4 and rsync.
#
# Played: one node alone; a second joins while the first is its donor; a clean stop; a return; a node without quorum.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
pen=${1:-$top/target/debug/pen}
dir=$(mktemp -d)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap cleanup EXIT
chown mysql "$dir"
chmod 755 "$dir"
cp "$top/contrib/pen-galera.sh" "$dir/"

port() { echo $((23306 + $1 * 10)); }

# node N ADDRESS: starts a node with the cluster at ADDRESS (empty: a new one).
node() {
    local n=$1 peers=$2 data=$dir/node$1 base
    base=$(port "$n")
    if [ ! -d "$data" ]; then
        mysql_install_db --user=mysql --datadir="$data" --auth-root-authentication-method=normal >/dev/null 2>&1
    fi
    mariadbd --no-defaults --user=mysql --datadir="$data" --socket="$dir/$n.sock" --pid-file="$dir/$n.pid" \
        --port="$base" --bind-address=127.0.0.1 --log-error="$dir/$n.log" --binlog-format=ROW \
        --innodb-buffer-pool-size=32M --innodb-autoinc-lock-mode=2 --default-storage-engine=InnoDB \
        --wsrep-on=ON --wsrep-provider=/usr/lib/galera/libgalera_smm.so --wsrep-cluster-name=trial \
        --wsrep-cluster-address="gcomm://$peers" --wsrep-sst-method=rsync --wsrep-node-name="n$n" \
        --wsrep-node-address="127.0.0.1:$((base + 1))" --wsrep-node-incoming-address="127.0.0.1:$base" \
        --wsrep-sst-receive-address="127.0.0.1:$((base + 3))" \
        --wsrep-provider-options="base_port=$((base + 1));ist.recv_addr=127.0.0.1:$((base + 2));gmcast.listen_addr=tcp://127.0.0.1:$((base + 1))" &
    pids+=($!)
}

sql() { mariadb --socket="$dir/$1.sock" -uroot --batch --skip-column-names -e "$2"; }

# until_it_says WHAT COMMAND...: waits until the command prints WHAT, and tells it.
until_it_says() {
    local wanted=$1 last='' tries
    shift
    for ((tries = 0; tries < 900; tries++)); do
        last=$("$@" 2>/dev/null || true)
        # A pattern.
        # shellcheck disable=SC2053
        if [[ $last == $wanted ]]; then
            echo "  $last"
            return
        fi
        sleep 0.1
    done
    echo "waited in vain for $wanted; last: $last" >&2
    tail -20 "$dir"/pen.log "$dir"/*.log >&2
    exit 1
}

# What pen says of each server: port, state, whether it was discovered.
states() {
    printf 'servers json\n' | socat -t5 - UNIX:"$dir/control" | python3 -c '
import json, sys
said = json.load(sys.stdin)
print(" ".join("%d:%s%s" % (s["port"], s["state"], "+" if s.get("discovered") else "") for s in said if s["address"]))'
}

echo "one node alone"
node 1 ""
until_it_says "4" sql 1 "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME='wsrep_local_state'"
sql 1 "CREATE USER watch@'localhost' IDENTIFIED BY 'secret'; CREATE DATABASE d; CREATE TABLE d.t (a INT PRIMARY KEY AUTO_INCREMENT, b LONGBLOB) ENGINE=InnoDB"
for _ in $(seq 20); do sql 1 "INSERT INTO d.t (b) VALUES (REPEAT('x', 10000000))"; done
# A transfer that takes a while can be watched.
printf '[client]\nuser=watch\npassword=secret\n' >"$dir/check.cnf"
chmod 644 "$dir/check.cnf"
"$pen" -f -u mysql -C "$dir/control" -O 'check_interval 0.2' -O 'check_timeout 3' -O 'check_fall 3' \
    -O "check exec $dir/pen-galera.sh --defaults-extra-file=$dir/check.cnf" -O discover -O roundrobin \
    127.0.0.1:23300 "127.0.0.1:$(port 1)" 2>"$dir/pen.log" &
pids+=($!)
until_it_says "23316:up" states
mariadb --defaults-extra-file="$dir/check.cnf" -h127.0.0.1 -P23300 -e 'SELECT 1' >/dev/null

echo "a second joins, the first is its donor"
node 2 "127.0.0.1:$((23316 + 1))"
until_it_says "23316:avoid*" states
until_it_says "23316:up 23326:up+" states

echo "a clean stop"
sql 2 SHUTDOWN
# The first node lists itself alone: the second goes with its third list without it.
until_it_says "23316:up" states

echo "it is back"
node 2 "127.0.0.1:$((23316 + 1))"
until_it_says "23316:up 23326:up+" states

echo "the second is killed: the first has no quorum"
kill -9 "$(cat "$dir/2.pid")"
until_it_says "23316:down 23326:down+" states
printf 'servers json\n' | socat -t5 - UNIX:"$dir/control" | grep -o '"reason":"[^"]*"' | head -1
# Nobody is removed by the list of a node that has no quorum.
for _ in $(seq 10); do
    sleep 0.2
    [ "$(states)" = "23316:down 23326:down+" ] || { states >&2; exit 1; }
done
echo "the operator makes it primary again"
sql 1 "SET GLOBAL wsrep_provider_options='pc.bootstrap=YES'"
until_it_says "23316:up*" states
echo "what pen said:"
sed 's/^/  /' "$dir/pen.log"
