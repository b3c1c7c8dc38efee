using System.Text;
using NetKernel.GuestLib.Names;

namespace NetKernel.GuestLib.Tests.Names;

/// <summary>Names in messages: compression, bounds, text.</summary>
public sealed unsafe class DnsNameTests : IDisposable
{
    private readonly GuardedMemory _memory = new(65536);
    private readonly GuardedMemory _wire = new(DnsName.MaxWire);
    private readonly GuardedMemory _text = new(DnsName.MaxText);

    public void Dispose()
    {
        _memory.Dispose();
        _wire.Dispose();
        _text.Dispose();
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("host.example.test", "host.example.test")]
    [InlineData("UPPER.lower", "UPPER.lower")]
    [InlineData("with space.a", @"with\032space.a")]
    [InlineData("a\\b.c", @"a\\b.c")]
    [InlineData("q\"(;)@$", @"q\""\(\;\)\@\$")]
    [InlineData("\u007f\u00ff", @"\127\255")]
    public void A_name_becomes_text(string labels, string expected) => Assert.Equal(expected, Text(Answer.Wire(labels), 0));

    [Fact]
    public void A_dot_inside_a_label_is_escaped() => Assert.Equal(@"a\.b.c", Text([3, (byte)'a', (byte)'.', (byte)'b', 1, (byte)'c', 0], 0));

    [Fact]
    public void Pointers_are_followed_also_forwards()
    {
        byte[] message = [.. Answer.Wire("example.test"), 1, (byte)'a', 0xC0, 0, 0xC0, 20, 9, 9, 1, (byte)'b', 0xC0, 14];
        Assert.Equal("a.example.test", Text(message, 14));
        Assert.Equal(18, DnsName.Skip(_memory.Copy(message), message.Length, 14));
        byte[] forward = [1, (byte)'x', 0xC0, 5, 9, 1, (byte)'y', 0];
        Assert.Equal("x.y", Text(forward, 0));
    }

    [Theory]
    [InlineData(new byte[] { 0xC0, 0 })]
    [InlineData(new byte[] { 1, 65, 0xC0, 0 })]
    [InlineData(new byte[] { 0xC0, 2, 0xC0, 0 })]
    [InlineData(new byte[] { 0xC0 })]
    [InlineData(new byte[] { 0xFF, 0xFF })]
    [InlineData(new byte[] { 5, 65, 66 })]
    [InlineData(new byte[] { 1, 65 })]
    [InlineData(new byte[] { 0x40, 65, 0 })]
    [InlineData(new byte[] { 0x80, 65, 0 })]
    [InlineData(new byte[] { })]
    public void What_is_no_name_is_refused(byte[] bytes) => Assert.Null(Text(bytes, 0));

    [Fact]
    public void A_name_has_255_bytes_and_no_more()
    {
        string longest = string.Join('.', Enumerable.Repeat(new string('x', 63), 3)) + "." + new string('y', 61);
        Assert.Equal(longest, Text(Answer.Wire(longest), 0));
        Assert.Null(Text(Answer.Wire(longest + "y"), 0));
        Assert.Null(Text(Answer.Wire(longest + ".z"), 0));
    }

    [Fact]
    public void The_longest_text_fits()
    {
        byte[] name = new byte[255];
        for (int at = 0; at < 254; at += 64)
        {
            name.AsSpan(at, Math.Min(64, 254 - at)).Fill(1);
            name[at] = (byte)(Math.Min(64, 254 - at) - 1);
        }

        string? text = Text(name, 0);
        Assert.Equal((250 * 4) + 3, text!.Length);
    }

    [Theory]
    [InlineData("a.example", "A.EXAMPLE", true)]
    [InlineData("a.example", "a.exampl", false)]
    [InlineData("a", "a.b", false)]
    [InlineData("ab.c", "a.bc", false)]
    [InlineData("@", "`", false)]
    [InlineData("[", "{", false)]
    [InlineData("", "", true)]
    public void Names_are_compared_without_case(string a, string b, bool same)
    {
        fixed (byte* left = Answer.Wire(a), right = Answer.Wire(b))
        {
            Assert.Equal(same, DnsName.Same(left, right));
        }
    }

    [Theory]
    [InlineData("host.example.test", true)]
    [InlineData("with_underscore", true)]
    [InlineData("trailing-", true)]
    [InlineData("-leading", false)]
    [InlineData("a.-b", true)]
    [InlineData("sp ace", false)]
    [InlineData("a/b", false)]
    [InlineData("", true)]
    public void Names_of_hosts_have_plain_letters(string name, bool host)
    {
        fixed (byte* wire = Answer.Wire(name))
        {
            Assert.Equal(host, DnsName.IsHost(wire));
        }
    }

    [Theory]
    [InlineData(new byte[] { 198, 18, 0, 105 }, "105.0.18.198.in-addr.arpa")]
    [InlineData(new byte[] { 0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xAB, 0x0F }, "f.0.b.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.2.ip6.arpa")]
    public void Addresses_have_names(byte[] address, string expected)
    {
        byte* name = _text.Last(ReverseName.Room);
        fixed (byte* bytes = address)
        {
            ReverseName.Write(bytes, address.Length, name);
        }

        Assert.Equal(expected, Encoding.ASCII.GetString(name, ReverseName.Room).TrimEnd('\0').Split('\0')[0]);
    }

    private string? Text(byte[] message, int at)
    {
        byte* copy = _memory.Copy(message);
        byte* wire = _wire.Last(DnsName.MaxWire);
        int length = DnsName.Unpack(copy, message.Length, at, wire);
        if (length < 0)
        {
            return null;
        }

        Assert.InRange(length, 1, DnsName.MaxWire);
        byte* text = _text.Last(DnsName.MaxText);
        int characters = DnsName.ToText(wire, text);
        Assert.Equal(0, text[characters]);
        return Encoding.Latin1.GetString(text, characters);
    }
}
