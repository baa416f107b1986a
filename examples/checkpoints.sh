#!/bin/sh
# Checkpoints of a training run. Each is a version with a name, and a run that was killed goes on.
set -eu
volfs create weights

cat >train.py <<'END'
import os, pathlib, signal, subprocess

file = pathlib.Path("/weights/step")
first = int(file.read_text()) + 1 if file.exists() else 1
for step in range(first, 7):
    file.write_text(str(step))
    subprocess.run(["volfs", "commit", "/weights", "-m", f"step {step}"], check=True)
    if step == 4 and first == 1:  # the machine dies
        os.kill(os.getpid(), signal.SIGKILL)
END

volfs run --volume weights:/weights --auto-commit 0 -- python3 train.py || echo "killed"
volfs tag weights before-restart
volfs run --volume weights:/weights --auto-commit 0 -- python3 train.py
echo "the newest:         $(volfs get weights step -)"
echo "before the restart: $(volfs get weights step - --at before-restart)"
echo "two steps back:     $(volfs get weights step - --at head~2)"
