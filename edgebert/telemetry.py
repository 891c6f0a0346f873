"""Switches ONNX Runtime's telemetry off, when this module is imported.

Telemetry writes files into the home folder, looks up a host about ten seconds later, and keeps forked processes from
ending. ONNX Runtime asks once whether to have any, when it is first imported; nothing ends it afterwards.
"""

import os
import sys

VARIABLE, OFF = "ORT_DISABLE_TELEMETRY", "1"

# Where an app has imported ONNX Runtime before edgebert.
MAY_BE_ON = "onnxruntime" in sys.modules and os.environ.get(VARIABLE) != OFF

os.environ[VARIABLE] = OFF  # of this process and of those that it starts
