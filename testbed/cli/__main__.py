from testbed.cli.errors import run

run()
