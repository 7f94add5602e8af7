import sys

try:
    from testbed.cli.errors import run

    run()
except KeyboardInterrupt:  # while Python was still loading
    sys.exit(130)
