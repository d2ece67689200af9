"""The params and results of every method, and the params of every notification, as msgspec structs."""

from protocol.types.ablation import *
from protocol.types.analysis import *
from protocol.types.base import *
from protocol.types.comparison import *
from protocol.types.document import *
from protocol.types.generation import *
from protocol.types.interventions import *
from protocol.types.models import *
from protocol.types.patching import *
from protocol.types.status import *
from protocol.types.traces import *
from protocol.types.why import *
