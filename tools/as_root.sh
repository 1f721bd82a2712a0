#!/bin/sh
# Runs a command with root's rights where they can be had: at once when we are root, through sudo when it can ask or needs
# no password, else as we are, and says so. leadline then shows the reduced diagnosis.
set -eu
if [ "$(id -u)" -eq 0 ]; then
    exec "$@"
fi
if command -v sudo >/dev/null 2>&1; then
    if sudo -n true 2>/dev/null; then
        # The user's PATH finds the user's Go; no byte code, so that root leaves no files in the checkout.
        exec sudo -H env "PATH=$PATH" PYTHONDONTWRITEBYTECODE=1 "$@"
    fi
    if [ -t 0 ]; then
        echo "Tracing needs root's rights: sudo may ask for your password (Ctrl-C: stop here)." >&2
        exec sudo -H env "PATH=$PATH" PYTHONDONTWRITEBYTECODE=1 "$@"
    fi
fi
echo "Not root, and no sudo to ask: showing the reduced diagnosis (growth and socket states, no stacks)." >&2
exec "$@"
