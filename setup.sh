#!/usr/bin/env bash
# Makes .venv from a hash-pinned lock, on a machine with Python 3.11 or newer and nothing else.
#   setup.sh LOCK        install the lock and the checkout itself
#   setup.sh --chromium  see to a browser for the browser tests, where this machine allows it
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '  %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

find_python() {
  for name in python3.11 python3.12 python3.13 python3; do
    if command -v "$name" >/dev/null 2>&1 &&
      "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  die "Python 3.11, 3.12 or 3.13 is needed; found here: $(python3 --version 2>/dev/null || echo none). On Debian 12 or newer: apt install python3 python3-venv"
}

make_venv() {
  local python
  python=$(find_python)
  if [ -x .venv/bin/python ] && .venv/bin/python -m pip --version >/dev/null 2>&1; then
    return
  fi
  say "Making .venv with $("$python" --version)"
  rm -rf .venv
  if "$python" -m venv .venv 2>/dev/null; then
    return
  fi
  # Debian keeps ensurepip in a package of its own.
  rm -rf .venv
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "Installing Debian's python3-venv"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; } >/dev/null
    "$python" -m venv .venv
  else
    die "this Python cannot make virtual environments. On Debian: sudo apt install python3-venv, then again"
  fi
}

install_lock() {
  make_venv
  say "Installing $1 (once; a few hundred megabytes are fetched the first time)"
  .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r "$1"
  # The checkout itself, editable: found where it lies, nothing is built or fetched.
  .venv/bin/python - <<'PYTHON'
import sysconfig
from pathlib import Path

site = Path(sysconfig.get_paths()["purelib"])
(site / "tripoint-checkout.pth").write_text(f"{Path.cwd()}\n{Path.cwd() / 'sdk' / 'src'}\n")
script = Path(".venv/bin/tripoint")
script.write_text(f"#!{Path.cwd()}/.venv/bin/python\nimport sys\n\nfrom cli import main\n\nsys.exit(main())\n")
script.chmod(0o755)
PYTHON
}

has_browser() {
  for name in chromium chromium-browser google-chrome; do
    # The program that drives it needs libatomic, which a bare Debian lacks.
    if command -v "$name" >/dev/null 2>&1 && /sbin/ldconfig -p | grep -q libatomic.so.1; then return 0; fi
  done
  return 1
}

see_to_chromium() {
  if has_browser; then return; fi
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "Installing Debian's Chromium for the browser tests"
    if { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      chromium fonts-dejavu-core libatomic1; } >/dev/null 2>&1 && has_browser; then
      return
    fi
  fi
  say "Chromium is not installed and cannot be installed here: the browser tests will be skipped."
}

case "${1:-}" in
  --chromium) see_to_chromium ;;
  "") die "usage: setup.sh LOCK | --chromium" ;;
  *) install_lock "$1" ;;
esac
