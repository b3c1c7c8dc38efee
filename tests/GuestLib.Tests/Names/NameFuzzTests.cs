using System.Text;
using NetKernel.GuestLib.Names;

namespace NetKernel.GuestLib.Tests.Names;

/// <summary>
/// Random and damaged messages and files against everything in GuestLib that reads them, with memory that ends where they end. Seeded: a failure says
/// its seed, and NK_FUZZ_SEED runs it again; NK_FUZZ_ROUNDS makes more.
/// </summary>
public sealed unsafe class NameFuzzTests : IDisposable
{
    private static readonly string[] Words =
        ["hosts:", "hosts", ":", "dns", "resolve", "files", "[NOTFOUND=return]", "[", "]", "#", " ", "\t", "\n", "search", "domain", "a.test", "b", "\0", "x"];

    private readonly GuardedMemory _message = new(65536);
    private readonly GuardedMemory _buffer = new(65536);

    public void Dispose()
    {
        _message.Dispose();
        _buffer.Dispose();
    }

    [Fact]
    public void No_message_makes_a_reader_leave_its_bounds() => Run(5000, Message);

    [Fact]
    public void No_file_makes_a_reader_leave_its_bounds() => Run(5000, TextFile);

    private static void Run(int rounds, Action<Random> round)
    {
        int first = int.TryParse(Environment.GetEnvironmentVariable("NK_FUZZ_SEED"), out int seed) ? seed : 1;
        rounds = int.TryParse(Environment.GetEnvironmentVariable("NK_FUZZ_ROUNDS"), out int more) ? more : rounds;
        for (int i = 0; i < rounds; i++)
        {
            try
            {
                round(new Random(first + i));
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {first + i}: {e.Message}", e);
            }
        }
    }

    private void Message(Random random)
    {
        int type = random.Next(2) == 0 ? DnsMessage.TypeA : DnsMessage.TypeAaaa;
        byte[] bytes = Damaged(random, type);
        byte* message = _message.Copy(bytes);
        int room = random.Next(3) == 0 ? random.Next(200) : random.Next(20_000);
        byte* buffer = _buffer.Last(room);

        HostEntry entry;
        Arena arena = new(buffer, (nuint)room);
        if (HostEntries.Fill(message, bytes.Length, type, ref arena, &entry, out _) == Outcome.Found)
        {
            CheckEntry(entry, buffer, room);
        }

        arena = new Arena(buffer, (nuint)room);
        byte* address = stackalloc byte[16];
        if (HostEntries.FillPointer(message, bytes.Length, address, 16, HostEntries.Internet6Family, ref arena, &entry, out _) == Outcome.Found)
        {
            CheckEntry(entry, buffer, room);
        }

        AddressTuple* list = null;
        AddressTuple** link = &list;
        bool first = true;
        uint ttl = uint.MaxValue;
        arena = new Arena(buffer, (nuint)room);
        _ = HostEntries.AddTuples(message, bytes.Length, type, ref arena, ref link, ref first, ref ttl);
        int tuples = 0;
        for (AddressTuple* at = list; at != null; at = at->Next)
        {
            CheckInside((byte*)at, sizeof(AddressTuple), buffer, room);
            Assert.True(++tuples < 6000, "a loop in the list");
        }

        byte* copy = stackalloc byte[64];
        int length = Math.Min(64, bytes.Length);
        bytes.AsSpan(0, length).CopyTo(new Span<byte>(copy, 64));
        _ = DnsMessage.IsAnswerTo(copy, length, message, bytes.Length);
        _ = DnsMessage.IsAnswerTo(message, bytes.Length, message, bytes.Length);
        _ = DnsMessage.IsBareErrorFor(copy, message, bytes.Length);
        byte* wire = stackalloc byte[DnsName.MaxWire];
        byte* text = stackalloc byte[DnsName.MaxText];
        for (int i = 0; i < 8; i++)
        {
            int at = random.Next(-2, bytes.Length + 3);
            int next = DnsName.Skip(message, bytes.Length, at);
            Assert.InRange(next, -1, bytes.Length);
            if (DnsName.Unpack(message, bytes.Length, at, wire) > 0)
            {
                Assert.InRange(DnsName.ToText(wire, text), 0, DnsName.MaxText - 1);
                Assert.True(DnsName.Same(wire, wire));
            }
        }
    }

    // An honest answer with some bytes changed, cut, or put in; or noise.
    private static byte[] Damaged(Random random, int type)
    {
        byte[] bytes;
        if (random.Next(8) == 0)
        {
            bytes = new byte[random.Next(600)];
            random.NextBytes(bytes);
            return bytes;
        }

        string[] names = ["a", "host.example.test", "HOST.example.test", new string('x', 63), "b.c.d.e.f"];
        var answer = new Answer(names[random.Next(names.Length)], type);
        int records = random.Next(4) == 0 ? random.Next(200) : random.Next(6);
        for (int i = 0; i < records; i++)
        {
            byte[] owner = random.Next(3) == 0 ? [0xC0, (byte)random.Next(12, answer.Length)] : Answer.Wire(names[random.Next(names.Length)]);
            byte[] address = new byte[type == DnsMessage.TypeA ? 4 : 16];
            random.NextBytes(address);
            _ = random.Next(4) switch
            {
                0 => answer.Record(owner, DnsMessage.TypeCname, random.Next(2) == 0 ? [0xC0, (byte)random.Next(256)] : Answer.Wire(names[random.Next(names.Length)])),
                1 => answer.Record(owner, DnsMessage.TypePtr, Answer.Wire(names[random.Next(names.Length)])),
                _ => answer.Record([0xC0, 12], type, address),
            };
        }

        bytes = answer.Build(random.Next(10) == 0 ? random.Next(65536) : null);
        for (int i = random.Next(6); i > 0; i--)
        {
            bytes[random.Next(bytes.Length)] = random.Next(3) == 0 ? (byte)0xC0 : (byte)random.Next(256);
        }

        return random.Next(4) == 0 ? bytes[..random.Next(bytes.Length + 1)] : bytes;
    }

    private void TextFile(Random random)
    {
        var text = new StringBuilder();
        for (int i = random.Next(60); i > 0; i--)
        {
            text.Append(random.Next(12) == 0 ? new string('y', random.Next(600)) : Words[random.Next(Words.Length)]);
        }

        byte[] bytes = Encoding.Latin1.GetBytes(text.ToString());
        byte* file = _message.Copy(bytes);
        byte* line = _buffer.Last(SwitchFile.MaxLine);
        int length = SwitchFile.Hosts(file, bytes.Length, line);
        Assert.InRange(length, -1, SwitchFile.MaxLine - 1);
        Assert.True(length < 0 || line[length] == 0);
        if (length >= 0)
        {
            // What it has written it leaves as it is.
            string once = Encoding.Latin1.GetString(line, length);
            byte[] again = Encoding.Latin1.GetBytes(once);
            Assert.Equal(length, SwitchFile.Translate(_message.Copy(again), again.Length, line));
            Assert.Equal(once, Encoding.Latin1.GetString(line, length));
            Assert.True(once.Contains('[') || !once.Split(' ').Any(word => word is "dns" or "resolve"), once);
        }

        file = _message.Copy(bytes);
        byte* domain = _buffer.Last(SearchLine.MaxDomain + 1);
        for (int n = 0; n < 10 && SearchLine.Find(file, bytes.Length, n, domain); n++)
        {
            Assert.Equal(0, domain[SearchLine.MaxDomain] & (Results.String(domain).Length == SearchLine.MaxDomain ? 0xFF : 0));
        }

        byte* alias = _buffer.Last(DnsName.MaxText);
        fixed (byte* name = "x"u8)
        {
            _ = SearchLine.FindAlias(file, bytes.Length, name, 1, alias);
        }
    }

    private static void CheckEntry(HostEntry entry, byte* buffer, int room)
    {
        CheckText(entry.Name, buffer, room);
        int n = 0;
        for (; entry.Addresses[n] != null; n++)
        {
            CheckInside((byte*)&entry.Addresses[n], sizeof(byte*), buffer, room);
            CheckInside(entry.Addresses[n], entry.Length, buffer, room);
        }

        Assert.True(n > 0);
        for (n = 0; entry.Aliases[n] != null; n++)
        {
            CheckInside((byte*)&entry.Aliases[n], sizeof(byte*), buffer, room);
            CheckText(entry.Aliases[n], buffer, room);
        }
    }

    private static void CheckText(byte* text, byte* buffer, int room)
    {
        CheckInside(text, 1, buffer, room);
        while (*text != 0)
        {
            CheckInside(++text, 1, buffer, room);
        }
    }

    private static void CheckInside(byte* at, int bytes, byte* buffer, int room) =>
        Assert.True(at >= buffer && bytes >= 0 && at + bytes <= buffer + room, "a pointer out of the buffer");
}
