"""The rehearsal: Counterfoil tried on anyone's own exported data, before anything is installed."""
