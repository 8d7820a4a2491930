"""Speed and quality, measured; each module writes one table into results/ (`make bench`)."""
