"""The face of Redrive: screens, the command line and the starter of all processes of one machine."""
