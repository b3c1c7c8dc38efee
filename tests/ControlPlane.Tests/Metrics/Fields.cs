using Google.Protobuf;

namespace NetKernel.ControlPlane.Tests.Metrics;

/// <summary>A protobuf message without its schema: values by field number. Enough to read OTLP's (opentelemetry/proto/metrics/v1/metrics.proto, trace/v1/trace.proto).</summary>
internal sealed class Fields
{
    private readonly List<(int Number, object Value)> _all = [];

    public Fields(byte[] bytes)
    {
        Raw = System.Text.Encoding.Latin1.GetString(bytes);
        var input = new CodedInputStream(bytes);
        for (uint tag = input.ReadTag(); tag != 0; tag = input.ReadTag())
        {
            object value = WireFormat.GetTagWireType(tag) switch
            {
                WireFormat.WireType.Varint => input.ReadUInt64(),
                WireFormat.WireType.Fixed64 => input.ReadFixed64(),
                WireFormat.WireType.Fixed32 => (ulong)input.ReadFixed32(),
                WireFormat.WireType.LengthDelimited => input.ReadBytes().ToByteArray(),
                WireFormat.WireType type => throw new InvalidDataException($"wire type {type}"),
            };
            _all.Add((WireFormat.GetTagFieldNumber(tag), value));
        }
    }

    /// <summary>All bytes, a character each.</summary>
    public string Raw { get; }

    public IEnumerable<Fields> Messages(int number) => _all.Where(one => one.Number == number).Select(one => new Fields((byte[])one.Value));

    public string Text(int number) => _all.Where(one => one.Number == number).Select(one => System.Text.Encoding.UTF8.GetString((byte[])one.Value)).FirstOrDefault("");

    public byte[] Bytes(int number) => (byte[])_all.First(one => one.Number == number).Value;

    public ulong? Number(int number) => _all.Where(one => one.Number == number).Select(one => (ulong?)(ulong)one.Value).FirstOrDefault();

    /// <summary>Attributes: repeated KeyValue { key = 1, AnyValue value = 2 { string_value = 1, int_value = 3 } }.</summary>
    public Dictionary<string, string> Attributes(int number) => Messages(number).ToDictionary(one => one.Text(1), one => one.Messages(2).Select(value => value.Text(1)).First());
}
