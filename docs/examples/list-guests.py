"""Lists guests by gRPC, with nothing but Debian's python3-grpcio: what the messages are is asked of nkd itself (grpc.reflection.v1alpha).

    python3 list-guests.py unix:/run/netkernel/nkd.sock
"""
import sys

import grpc
from google.protobuf import descriptor_pb2, message_factory


def messages(channel, service):
    """The messages of a service's file and of those that it imports, by name."""
    # Of the reflection's own messages, just the two fields that are needed here; the answer's is what FileDescriptorSet is on the wire.
    own = descriptor_pb2.FileDescriptorProto(name="asked.proto", package="asked", syntax="proto3", dependency=["google/protobuf/descriptor.proto"])
    own.message_type.add(name="Question").field.add(name="file_containing_symbol", number=4, label=1, type=9)
    own.message_type.add(name="Answer").field.add(
        name="file_descriptor_response", number=4, label=1, type=11, type_name=".google.protobuf.FileDescriptorSet")
    descriptors = descriptor_pb2.FileDescriptorProto.FromString(descriptor_pb2.DESCRIPTOR.serialized_pb)
    asked = message_factory.GetMessages([descriptors, own])
    ask = channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=lambda question: question.SerializeToString(),
        response_deserializer=asked["asked.Answer"].FromString)
    answer = next(ask(iter([asked["asked.Question"](file_containing_symbol=service)])))
    files = descriptor_pb2.FileDescriptorSet.FromString(answer.file_descriptor_response.SerializeToString())
    return message_factory.GetMessages(files.file)


with grpc.insecure_channel(sys.argv[1]) as channel:
    types = messages(channel, "netkernel.v1.GuestService")
    list_guests = channel.unary_unary(
        "/netkernel.v1.GuestService/ListGuests",
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=types["netkernel.v1.ListGuestsResponse"].FromString)
    page = ""
    while True:
        answer = list_guests(types["netkernel.v1.ListGuestsRequest"](page_size=100, page_token=page), timeout=10)
        for guest in answer.guests:
            print(guest.name, guest.ipv4, guest.nsm)
        page = answer.next_page_token
        if not page:
            break
