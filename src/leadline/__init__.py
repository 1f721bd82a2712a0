"""leadline: sound a live Go service layer by layer and name the line that leaks descriptors."""

__version__ = "0.1.0"
__all__ = ["__version__"]
