"""What Redrive promises, held against real parts."""

import os
import sys

# Hundreds of processes are started here: what they import is compiled once, also where the machine would rather keep no files of it.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
