#!/usr/bin/env python3
"""Compare the ONNX messages that are written by hand in Rust with the schema that the `onnx` package ships.

    python3 scripts/check_proto.py        (needs: pip install onnx)

Prints each field whose number, kind or label differs, and each that the schema lacks; exits with 1 if there is any.
Fields that the Rust messages leave out are listed, but are no fault. Run it when a new IR version comes out.
"""
import os
import re
import sys

import onnx
from onnx import onnx_ml_pb2

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "crates", "onnx", "src")
FIELD = re.compile(r'#\[prost\(([^)]*)\)\]\s*(?:pub (?:r#)?(\w+):|(\w+)\()')
KINDS = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 9: "string", 11: "message", 12: "bytes", 14: "enumeration"}


def rust_messages():
    """name -> {field: (number, kind, repeated)} of every message in proto.rs; the fields of a oneof belong to its message."""
    text = open(os.path.join(SOURCE, "proto.rs")).read()
    messages, oneofs = {}, {}
    for kind, name, body in re.findall(r"pub (struct|enum) (\w+) \{\n(.*?)\n *\}\n", text, re.S):
        fields = {}
        for attributes, field, variant in FIELD.findall(body):
            tag = re.search(r'tag = "(\d+)"', attributes)
            if tag:
                field = field or re.sub(r"(?<!^)([A-Z])", r"_\1", variant).lower()
                fields[field] = (int(tag[1]), re.match(r"\w+", attributes)[0], "repeated" in attributes)
        if kind == "struct":
            messages[name] = fields
        elif fields:
            oneofs.update(fields)
    return messages, oneofs


def rust_enums():
    """name -> {NAME: number} of every enumeration."""
    text = open(os.path.join(SOURCE, "proto.rs")).read() + open(os.path.join(SOURCE, "proto", "data_type.rs")).read()
    found = re.findall(r"#\[repr\(i32\)\]\npub enum (\w+) \{(.*?)\n\}", text, re.S)
    return {name: {re.sub(r"(?<=[a-z])([A-Z])", r"_\1", k).upper(): int(v) for k, v in re.findall(r"(\w+) = (\d+)", body)} for name, body in found}


def schema():
    """Messages by name, and enumerations by name, of the package."""
    messages, enums = {}, {}

    def visit(message):
        messages[message.name] = message
        enums.update((enum.name, enum) for enum in message.enum_types)
        for nested in message.nested_types:
            visit(nested)

    for message in onnx_ml_pb2.DESCRIPTOR.message_types_by_name.values():
        visit(message)
    return messages, enums


def message_faults(name, fields, oneofs, message):
    """The fields of `fields` that differ from those of `message`, and the names of those that are left out."""
    known = {}
    for field in message.fields:
        # The schema gives element types as int32 so that unknown values survive; an enumeration is the same on the wire.
        kind = "enumeration" if field.name in ("data_type", "elem_type", "key_type") and field.type == 5 else KINDS[field.type]
        known[field.name] = (field.number, kind, field.is_repeated)
    faults = [f"{name}.{field}: {found} but the schema has {known.get(field)}" for field, found in fields.items() if known.get(field) != found]
    inside = {field.name for field in message.fields if field.containing_oneof}
    faults += [f"{name}.{field}: {oneofs.get(field)} but the schema has {known[field]}" for field in inside if oneofs.get(field) != known[field]]
    return faults, [f"{name}.{field}" for field in known if field not in fields and field not in inside]


def main():
    (messages, oneofs), (known, known_enums) = rust_messages(), schema()
    faults, left_out = [], sorted(set(known) - set(messages))
    for name, fields in messages.items():
        if name not in known:
            faults.append(f"{name}: not in the schema")
            continue
        wrong, missing = message_faults(name, fields, oneofs, known[name])
        faults, left_out = faults + wrong, left_out + missing
    for name, values in rust_enums().items():
        wanted = {value.name: value.number for value in known_enums[name].values}
        faults += [f"{name}: {values} but the schema has {wanted}"] if values != wanted else []
    print(f"onnx {onnx.__version__}, IR version {onnx.IR_VERSION}: {len(messages)} messages compared")
    print("left out:", ", ".join(left_out))
    print("\n".join(faults) or "no difference")
    return 1 if faults or len(messages) < 15 else 0


if __name__ == "__main__":
    sys.exit(main())
