#!/bin/sh
# Runs in the machine: each test program, one after another, all output to the second serial port.
# The lines that begin with @@ are read by xtask/src/vm/report.rs.
exec </dev/null >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw -echo

cd /opt/hostmedic || exit 1
for place in debugfs:/sys/kernel/debug tracefs:/sys/kernel/tracing bpf:/sys/fs/bpf; do
    mountpoint -q "${place#*:}" || mount -t "${place%%:*}" none "${place#*:}"
done

for program in deps/*; do
    name=${program##*/}
    echo "@@ begin $name"
    # A program that hangs must not cost the ones after it.
    timeout --kill-after=10 540 "./$program" --test-threads=1 --show-output
    # A panic may leave a line open.
    printf '\n@@ end %s %s\n' "$name" "$?"
done
echo "@@ done"
