using System.Buffers.Binary;
using System.Globalization;

namespace NetKernel.Stack.Tests;

/// <summary>The segments of a script: those of the peer are built, those of the subject checked. Numbers are relative to each side's initial one.</summary>
internal sealed unsafe class ScriptSegments(ulong mac, Address subject, Address peer)
{
    /// <summary>Station address of the peer.</summary>
    public const ulong PeerMac = 0x020000000002;

    private const uint PeerIss = 1_000_000;
    private readonly uint _ip = subject.IsV4 ? (uint)Field.V4Length : Field.V6Length;
    private uint? _iss;
    private uint _keptIss;
    private uint _lastTs, _keptTs;
    private byte[] _cookie = [];

    public ushort Port { get; set; } = 80;

    public ushort PeerPort { get; set; } = 5555;

    /// <summary>Windows and their scales are looked at too: they are a matter of memory, and the kernel's are others.</summary>
    public bool ChecksWindows { get; init; } = true;

    public void KeepTimestamp() => _keptTs = _lastTs;

    /// <summary>
    /// What is asked of the subject's last initial number: <c>keep</c> it, whether it comes <c>later</c> than the kept one in sequence space, follows it at RFC 6528's <c>clock</c> of 4 microseconds
    /// after that many of them, or is that of <c>another</c> hash.
    /// </summary>
    public void Initial(string[] words)
    {
        uint beyond = (_iss ?? throw new InvalidOperationException("no SYN yet")) - _keptIss;
        switch (words[0])
        {
            case "keep":
                _keptIss = _iss.Value;
                break;
            case "later":
                Assert.InRange((int)beyond, 1, int.MaxValue);
                break;
            case "clock":
                Assert.Equal(uint.Parse(words[1], CultureInfo.InvariantCulture) / 4, beyond);
                break;
            case "another":
                Assert.True(beyond > 1 << 20 && beyond < uint.MaxValue - (1 << 20), $"{beyond} beyond the other");
                break;
            default:
                throw new FormatException($"unknown: {words[0]}");
        }
    }

    private static byte FlagsOf(string text)
    {
        byte flags = 0;
        foreach (char c in text)
        {
            flags |= c switch
            {
                'F' => TcpFlag.Fin,
                'S' => TcpFlag.Syn,
                'R' => TcpFlag.Rst,
                'P' => TcpFlag.Psh,
                'A' or '.' => TcpFlag.Ack,
                'E' => TcpFlag.Ece,
                'C' => TcpFlag.Cwr,
                _ => throw new FormatException($"no flag {c}"),
            };
        }

        return flags;
    }

    /// <summary>A segment of the peer.</summary>
    public byte[] Build(string[] words)
    {
        byte[] f = new byte[14 + 20 + 60 + 65536];
        uint Number(string text) => uint.Parse(text, CultureInfo.InvariantCulture);
        int length = int.Parse(words[1].Split(':')[1], CultureInfo.InvariantCulture);
        byte flags = FlagsOf(words[0]);
        int seq = int.Parse(words[1].Split(':')[0], CultureInfo.InvariantCulture);
        uint ack = 0, win = 65535;
        byte tos = 0;
        List<byte> options = [];
        void Option(params byte[] bytes) => options.AddRange(bytes);
        byte[] Big(uint v)
        {
            byte[] b = new byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(b, v);
            return b;
        }

        for (int i = 2; i < words.Length; i++)
        {
            switch (words[i])
            {
                case "ack":
                    ack = (_iss ?? 0) + (uint)int.Parse(words[++i], CultureInfo.InvariantCulture);
                    break;
                case "win":
                    win = Number(words[++i]);
                    break;
                case "mss":
                    uint mss = Number(words[++i]);
                    Option(2, 4, (byte)(mss >> 8), (byte)mss);
                    break;
                case "ws":
                    Option(1, 3, 3, (byte)Number(words[++i]));
                    break;
                case "sackok":
                    Option(1, 1, 4, 2);
                    break;
                case "ts":
                    Option([1, 1, 8, 10, .. Big(Number(words[i + 1])), .. Big(words[i + 2] == "last" ? _lastTs : words[i + 2] == "kept" ? _keptTs : Number(words[i + 2]))]);
                    i += 2;
                    break;
                case "md5":
                    Option([1, 1, 19, 18, .. new byte[16]]);
                    break;
                case "ce":
                    tos = 3;
                    break;
                case "fo":
                    byte[] cookie = i + 1 == words.Length ? [] : words[++i] == "last" ? _cookie : Convert.FromHexString(words[i]);
                    Option([1, 1, 34, (byte)(2 + cookie.Length), .. cookie]);
                    break;
                case "sack":
                    List<byte> blocks = [];
                    while (i + 1 < words.Length && words[i + 1].Contains('-'))
                    {
                        string[] edge = words[++i].Split('-');
                        blocks.AddRange(Big(_iss!.Value + Number(edge[0])));
                        blocks.AddRange(Big(_iss!.Value + Number(edge[1])));
                    }

                    Option([1, 1, 5, (byte)(2 + blocks.Count), .. blocks]);
                    break;
                default:
                    throw new FormatException($"unknown: {words[i]}");
            }
        }

        uint header = 20 + (uint)options.Count;
        fixed (byte* p = f)
        {
            byte* tcp = PutIp(p, peer, Protocol.Tcp, header + (uint)length, tos);
            Wire.U16(tcp, PeerPort);
            Wire.U16(tcp + 2, Port);
            Wire.U32(tcp + 4, PeerIss + (uint)seq);
            Wire.U32(tcp + 8, ack);
            tcp[12] = (byte)(header << 2);
            tcp[13] = flags;
            Wire.U16(tcp + 14, win);
            for (int i = 0; i < options.Count; i++)
            {
                tcp[20 + i] = options[i];
            }

            uint size = header + (uint)length;
            *(ushort*)(tcp + Field.TcpChecksum) = Checksum.Finish(Checksum.Combine(Checksum.PseudoHeader(peer, subject, Protocol.Tcp, size), Checksum.Sum(tcp, size), odd: false));
        }

        return f[..(int)(14 + _ip + header + length)];
    }

    /// <summary>Puts the headers of a packet to the subject; returns where its payload begins.</summary>
    private byte* PutIp(byte* p, in Address source, byte protocol, uint length, byte tos = 0)
    {
        NetworkStack.PutMac(p, mac);
        NetworkStack.PutMac(p + 6, PeerMac);
        byte* ip = p + 14;
        if (subject.IsV4)
        {
            Wire.U16(p + 12, Protocol.EtherIpv4);
            ip[0] = 0x45;
            ip[1] = tos;
            Wire.U16(ip + 2, Field.V4Length + length);
            ip[8] = 64;
            ip[9] = protocol;
            _ = Wire.Put(ip + 12, source);
            _ = Wire.Put(ip + 16, subject);
            *(ushort*)(ip + 10) = Checksum.Finish(Checksum.Sum(ip, 20));
        }
        else
        {
            Wire.U16(p + 12, Protocol.EtherIpv6);
            Wire.U32(ip, 0x6000_0000 | ((uint)tos << 20));
            Wire.U16(ip + 4, length);
            ip[6] = protocol;
            ip[7] = 64;
            _ = Wire.Put(ip + 8, source);
            _ = Wire.Put(ip + 24, subject);
        }

        return ip + _ip;
    }

    /// <summary>The peer asks for the subject's station address, and so tells its own (RFC 4861, 7.2.3).</summary>
    public byte[] Solicitation()
    {
        byte[] f = new byte[14 + Field.V6Length + 32];
        fixed (byte* p = f)
        {
            byte* icmp = PutIp(p, peer, Protocol.Icmpv6, 32);
            p[14 + 7] = 255;
            icmp[0] = Icmpv6Type.Solicitation;
            _ = Wire.Put(icmp + 8, subject);
            icmp[24] = 1;
            icmp[25] = 1;
            NetworkStack.PutMac(icmp + 26, PeerMac);
        }

        return f;
    }

    /// <summary>A router's word that a segment of that number was too large (RFC 792, RFC 1191; RFC 4443, 3.2). Without the next hop's MTU, as before RFC 1191: 0.</summary>
    public byte[] TooBig(uint mtu, int seq)
    {
        uint size = 8 + _ip + 8;
        byte[] f = new byte[14 + _ip + size];
        fixed (byte* p = f)
        {
            Address router = Host.Parse(subject.IsV4 ? "198.18.0.254" : "2001:2::fe");
            byte* icmp = PutIp(p, router, subject.IsV4 ? Protocol.Icmp : Protocol.Icmpv6, size), quoted = icmp + 8, tcp = quoted + _ip;
            if (subject.IsV4)
            {
                icmp[0] = IcmpType.Unreachable;
                icmp[1] = IcmpCode.FragmentationNeeded;
                Wire.U16(icmp + 6, mtu);
                quoted[0] = 0x45;
                quoted[9] = Protocol.Tcp;
                _ = Wire.Put(quoted + 12, subject);
                _ = Wire.Put(quoted + 16, peer);
            }
            else
            {
                icmp[0] = Icmpv6Type.TooBig;
                Wire.U32(icmp + 4, mtu);
                quoted[0] = 0x60;
                Wire.U16(quoted + 4, 1460);
                quoted[6] = Protocol.Tcp;
                quoted[7] = 60;
                _ = Wire.Put(quoted + 8, subject);
                _ = Wire.Put(quoted + 24, peer);
            }

            Wire.U16(tcp, Port);
            Wire.U16(tcp + 2, PeerPort);
            Wire.U32(tcp + 4, _iss!.Value + (uint)seq);
            uint sum = subject.IsV4 ? 0 : Checksum.PseudoHeader(router, subject, Protocol.Icmpv6, size);
            *(ushort*)(icmp + 2) = Checksum.Finish(Checksum.Combine(sum, Checksum.Sum(icmp, size), odd: false));
        }

        return f;
    }

    /// <summary>Fails unless a frame of the subject is what a script says.</summary>
    public void Check(byte[] f, string[] words)
    {
        fixed (byte* p = f)
        {
            TcpSegment s = default;
            byte* ip = p + 14;
            bool v4 = subject.IsV4;
            Assert.True(!v4 || Checksum.Sum(ip, 20) == 0xFFFF, "IP checksum");
            uint size = v4 ? Wire.U16(ip + 2) - _ip : Wire.U16(ip + 4);
            Assert.True(TcpSegment.TryParse(ip + _ip, size, ref s, out DropReason reason), $"{reason}");
            Packet packet = new() { Source = v4 ? Wire.V4(ip + 12) : Wire.V6(ip + 8), Destination = v4 ? Wire.V4(ip + 16) : Wire.V6(ip + 24) };
            Assert.True(NetworkStack.HasGoodChecksum(6, ip + _ip, size, in packet), "TCP checksum");
            int ecn = (v4 ? ip[1] : ip[1] >> 4) & 3;
            if (s.Has(TcpFlag.Syn))
            {
                _iss = s.Seq;
            }

            _lastTs = s.HasTimestamp ? s.TsValue : _lastTs;
            byte flags = FlagsOf(words[0]);
            Assert.True((s.Flags & ~TcpFlag.Psh) == (flags & ~TcpFlag.Psh), $"flags: {Describe.Frame(f)}");
            string[] range = words[1].Split(':');
            if (range[0] != "*")
            {
                Assert.True(s.Seq - (_iss ?? 0) == (uint)int.Parse(range[0], CultureInfo.InvariantCulture), $"seq {(int)(s.Seq - (_iss ?? 0))}: {Describe.Frame(f)}");
            }

            Assert.True(s.Length == int.Parse(range[1], CultureInfo.InvariantCulture), $"length {s.Length}");
            for (int i = 2; i < words.Length; i++)
            {
                switch (words[i])
                {
                    case "ack":
                        Assert.True(s.Ack - PeerIss == uint.Parse(words[++i], CultureInfo.InvariantCulture), $"ack {(int)(s.Ack - PeerIss)}");
                        break;
                    case "win":
                        Assert.Equal(words[++i], ChecksWindows ? s.Window.ToString(CultureInfo.InvariantCulture) : words[i]);
                        break;
                    case "mss":
                        Assert.Equal(words[++i], s.Mss.ToString(CultureInfo.InvariantCulture));
                        break;
                    case "ws":
                        Assert.Equal(words[++i], ChecksWindows ? s.WindowScale.ToString(CultureInfo.InvariantCulture) : words[i]);
                        break;
                    case "nows":
                        Assert.Equal(-1, s.WindowScale);
                        break;
                    case "sackok":
                        Assert.True(s.SackPermitted);
                        break;
                    case "nosack":
                        Assert.True(!s.SackPermitted && s.SackCount == 0, "SACK");
                        break;
                    case "ts":
                        Assert.True(s.HasTimestamp, "no timestamp");
                        if (i + 1 < words.Length && char.IsDigit(words[i + 1][0]))
                        {
                            Assert.Equal(words[++i], s.TsEcho.ToString(CultureInfo.InvariantCulture));
                        }

                        break;
                    case "nots":
                        Assert.False(s.HasTimestamp);
                        break;
                    case "fo":
                        Assert.True(s.HasFastOpen && s.CookieLength > 0, "no cookie");
                        _cookie = new ReadOnlySpan<byte>(s.Cookie, s.CookieLength).ToArray();
                        break;
                    case "foreq":
                        Assert.True(s.HasFastOpen && s.CookieLength == 0, "no request for a cookie");
                        break;
                    case "nofo":
                        Assert.False(s.HasFastOpen, "Fast Open");
                        break;
                    case "ect":
                        Assert.Equal(2, ecn);
                        break;
                    case "noect":
                        Assert.Equal(0, ecn);
                        break;
                    case "sack":
                        List<string> found = [];
                        for (int k = 0; k < s.SackCount; k++)
                        {
                            found.Add($"{s.Sacks[2 * k] - PeerIss}-{s.Sacks[(2 * k) + 1] - PeerIss}");
                        }

                        Assert.Equal(string.Join(' ', words[(i + 1)..]), string.Join(' ', found));
                        i = words.Length;
                        break;
                    default:
                        throw new FormatException($"unknown: {words[i]}");
                }
            }
        }
    }
}
