"""Unit tests of the emulation: pure planning, encodings and files; no root."""
