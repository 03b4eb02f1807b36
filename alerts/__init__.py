"""Watches what was declared and tells those who asked to be told: alert rows and their delivery."""
