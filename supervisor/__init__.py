"""Runs everything on one machine: stores and Python processes that live and die with one command.

Imported by the roof only. Where a database and a broker are named by settings, no store is started here.
"""
