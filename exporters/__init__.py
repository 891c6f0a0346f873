"""The second room: turns a checkpoint into a bundle (needs edgebert[export])."""
