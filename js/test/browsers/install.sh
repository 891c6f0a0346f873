#!/bin/sh
# Installs Node and the browsers that tests run in from the system's packages, where that may be done: as root, with apt.
# What is missing and cannot be installed is said; without Node and npm this fails.
set -eu

missing=""

# Notes down a package, unless one of the programs behind it is here.
needs() {
    package=$1
    shift
    for program in "$@"; do
        if command -v "$program" > /dev/null; then return; fi
    done
    missing="$missing $package"
}

needs nodejs node
needs npm npm
needs chromium chromium chromium-browser google-chrome
needs firefox-esr firefox-esr firefox
needs webkit2gtk-driver WebKitWebDriver
needs xvfb Xvfb

if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    apt-get update -qq || true
    for package in $missing; do
        echo "installing $package"
        # One at a time, since not every system has all of them.
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" > /dev/null || true
    done
elif [ -n "$missing" ]; then
    echo "not here, and installed by itself only as root where there is apt-get; install:$missing"
fi

if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
    echo "expected node and npm, found none; install Node 18 or later" >&2
    exit 1
fi
