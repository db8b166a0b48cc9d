"""What holds for every test: workers that wait do not spin.

Tests start many small regions, processes and threads side by side. OpenMP's workers spin between
regions by default, which takes the cores from one another. The runtime reads this when it is
loaded, so it stands before any import of convlet.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
