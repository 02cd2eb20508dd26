"""Inputs by URL: copied into a folder of this machine by the process that was asked, and opened there."""
