"""The two Ryu controllers: ``fabric`` programs the cloud's switch, ``cluster`` every node's bridges."""
