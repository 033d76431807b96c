"""Hold back new TCP connections to a listening socket without resetting any.

A connection that the kernel completes between the last accept and the close of the listener is
reset, though its client may have sent its request. With this filter the kernel drops the first
packet of new connections (SYN), as if it were lost. Those that have begun are completed and can be
accepted, and then none is left. A client whose SYN was dropped repeats it a second later, and finds
the port closed.

Source of the instructions: https://www.kernel.org/doc/html/latest/networking/filter.html.
"""

import ctypes
import socket
import struct
import sys

_SO_ATTACH_FILTER = 26
_LOAD_BYTE, _JUMP_IF_SET, _RETURN = 0x30, 0x45, 0x06
_FLAGS_OFFSET, _SYN = 13, 0x02
"""Of a TCP header, where a filter of a TCP socket begins to read."""
_WHOLE_PACKET, _NOTHING = 0xFFFFFFFF, 0
_PROGRAM = (
    (_LOAD_BYTE, 0, 0, _FLAGS_OFFSET),
    (_JUMP_IF_SET, 0, 1, _SYN),  # if it is set, the next instruction, otherwise the one after
    (_RETURN, 0, 0, _NOTHING),
    (_RETURN, 0, 0, _WHOLE_PACKET),
)


def hold_new_connections(listener: socket.socket) -> bool:
    """Let the kernel drop the first packets of new connections; return False where it can't.

    Only Linux can. Connections that exist, and handshakes that have begun, go on.

    Args:
        listener: a listening TCP socket.
    """
    if sys.platform != "linux" or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    instructions = b"".join(struct.pack("HBBI", *each) for each in _PROGRAM)
    memory = ctypes.create_string_buffer(instructions, len(instructions))
    program = struct.pack("HP", len(_PROGRAM), ctypes.addressof(memory))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:  # a sandbox such as gVisor lacks it
        return False
    return True
