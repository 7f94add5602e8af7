from testbed.cli import main

main(prog_name="lab")
