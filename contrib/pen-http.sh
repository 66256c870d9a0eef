#!/bin/sh
# Checks a web server with curl for pen, where "check http" is not enough: "check exec pen-http.sh [OPTION OF curl]... URL".
#
#   check exec /usr/share/pen/pen-http.sh --insecure --header "X-Token: abc" https://health/status
#
# pen starts it once for each server with HOST:PORT as the first word, and asks by a line "poll". HOST:PORT/ is put behind the
# :// of the URL, which names no host of its own; the other words go to curl.
#
#   3  curl succeeds: a status below 400      0  it does not
set -u

server=$1
shift
[ $# -gt 0 ] || {
    echo "pen-http.sh: want a URL behind the options of curl" >&2
    exit 1
}
count=$#
while [ "$count" -gt 1 ]; do
    set -- "$@" "$1"
    shift
    count=$((count - 1))
done
url=$1
shift
case $url in
*://*) scheme=${url%%://*} rest=${url#*://} ;;
*) scheme=http rest=$url ;;
esac
while read -r word && [ "$word" = poll ]; do
    if curl --silent --show-error --fail --output /dev/null --max-time 5 "$@" "$scheme://$server/$rest"; then
        echo 3
    else
        echo 0
    fi
done
