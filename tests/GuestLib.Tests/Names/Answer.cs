using System.Buffers.Binary;
using System.Text;

namespace NetKernel.GuestLib.Tests.Names;

/// <summary>Builds DNS messages, byte by byte where a test wants it.</summary>
internal sealed class Answer
{
    private readonly List<byte> _bytes = [];
    private int _records;

    public Answer(string question = "host.example.test", int type = 1, int id = 0x1234, int rcode = 0, bool truncated = false)
    {
        Put(id);
        _bytes.Add((byte)(0x84 | (truncated ? 2 : 0)));
        _bytes.Add((byte)(0x80 | rcode));
        Put(1);
        Put(0);
        Put(0);
        Put(0);
        Bytes(Wire(question));
        Put(type);
        Put(1);
    }

    public int Length => _bytes.Count;

    public static byte[] Wire(string name) =>
        [.. name.Split('.', StringSplitOptions.RemoveEmptyEntries).SelectMany(label => Encoding.Latin1.GetBytes(label).Prepend((byte)label.Length)), 0];

    public Answer Record(byte[] owner, int type, byte[] data, int cls = 1, uint ttl = 300, int? length = null)
    {
        _records++;
        Bytes(owner);
        Put(type);
        Put(cls);
        Put((int)(ttl >> 16));
        Put((int)(ttl & 0xFFFF));
        Put(length ?? data.Length);
        return Bytes(data);
    }

    public Answer Record(string owner, int type, params byte[] data) => Record(Wire(owner), type, data);

    public Answer Bytes(params byte[] bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public byte[] Build(int? count = null)
    {
        byte[] message = [.. _bytes];
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(6), (ushort)(count ?? _records));
        return message;
    }

    private void Put(int value) => Bytes((byte)(value >> 8), (byte)value);
}
