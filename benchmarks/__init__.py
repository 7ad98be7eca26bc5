"""Time, memory and quality of every calibrator and metric beside other packages."""
