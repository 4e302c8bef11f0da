"""Reads a Perfetto trace by Perfetto's own schema, and prints a JSON line for each packet.

Names that were told once in a sequence are put in their places as the trace processor does it: what was told before a packet
that says that packets were dropped is forgotten, and a packet that needs names which are not told fails.
"""

import json
import sys

from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as schema


def check(message):
    """Nothing in it is unknown to the schema."""
    assert len(UnknownFieldSet(message)) == 0, message
    for field, value in message.ListFields():
        if field.message_type:
            for inner in value if hasattr(value, "__len__") else [value]:
                check(inner)


trace = schema.Trace()
trace.ParseFromString(open(sys.argv[1], "rb").read())
check(trace)
states = {}
for packet in trace.packet:
    sequence = packet.trusted_packet_sequence_id
    if packet.HasField("track_descriptor"):
        track = packet.track_descriptor
        name = track.process.process_name if track.HasField("process") else track.name
        print(json.dumps({"track": track.uuid, "parent": track.parent_uuid, "name": name}))
        continue
    if packet.previous_packet_dropped:
        states.pop(sequence, None)
    if packet.sequence_flags & packet.SEQ_INCREMENTAL_STATE_CLEARED:
        states[sequence] = ({}, {})
    if packet.sequence_flags & packet.SEQ_NEEDS_INCREMENTAL_STATE:
        assert sequence in states, packet
    events, annotations = states.get(sequence, ({}, {}))
    events.update((entry.iid, entry.name) for entry in packet.interned_data.event_names)
    annotations.update((entry.iid, entry.name) for entry in packet.interned_data.debug_annotation_names)
    event = packet.track_event
    values = [
        [annotations[value.name_iid], value.WhichOneof("value"), getattr(value, value.WhichOneof("value"))]
        for value in event.debug_annotations
    ]
    print(
        json.dumps(
            {
                "sequence": sequence,
                "time_ns": packet.timestamp,
                "dropped": bool(packet.previous_packet_dropped),
                "type": schema.TrackEvent.Type.Name(event.type),
                "on": event.track_uuid,
                "name": events[event.name_iid] if event.name_iid else None,
                "values": values,
            }
        )
    )
