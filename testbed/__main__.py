"""The command line. Here and not in ``testbed.cli``, so that Ctrl-C ends the loading of that without a word, too."""

import os

try:
    from testbed.cli.errors import run

    run()
except KeyboardInterrupt:  # while Python was still loading; another one may follow while it would tidy up
    os._exit(130)
