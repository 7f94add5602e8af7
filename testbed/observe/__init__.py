"""Looking at a running lab: its state, its flows, its graph, and whether packets go where they should."""
