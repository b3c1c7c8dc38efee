using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace NetKernel.ControlPlane.Network;

/// <summary>
/// Which addresses guests get. Pure arithmetic: the n-th address of the IPv4 subnet starts at its x.y.1.1 and never ends in 0 or 255;
/// the n-th of the IPv6 subnet is PREFIX::1:n. The first 256 IPv4 addresses and PREFIX::0:* stay free for the outside.
/// </summary>
internal sealed class AddressPlan
{
    private const uint PerBlock = 254;

    private readonly uint _network4;
    private readonly byte[] _network6;

    public AddressPlan(string subnet4 = "198.18.0.0/16", string subnet6 = "2001:2::/64")
    {
        IPNetwork four = IPNetwork.Parse(subnet4);
        IPNetwork six = IPNetwork.Parse(subnet6);
        if (four.BaseAddress.AddressFamily != AddressFamily.InterNetwork || four.PrefixLength > 22)
        {
            throw new FormatException($"'{subnet4}' is not an IPv4 subnet of /22 or larger");
        }

        if (six.BaseAddress.AddressFamily != AddressFamily.InterNetworkV6 || six.PrefixLength > 96)
        {
            throw new FormatException($"'{subnet6}' is not an IPv6 subnet of /96 or larger");
        }

        Subnet4 = four;
        Subnet6 = six;
        _network4 = BinaryPrimitives.ReadUInt32BigEndian(four.BaseAddress.GetAddressBytes());
        _network6 = six.BaseAddress.GetAddressBytes();
        uint blocks = (1u << (32 - four.PrefixLength)) / 256;
        Capacity = (blocks - 1) * PerBlock;
    }

    public IPNetwork Subnet4 { get; }

    public IPNetwork Subnet6 { get; }

    /// <summary>How many guests have an IPv4 address.</summary>
    public uint Capacity { get; }

    /// <summary>The n-th guest's IPv4 address, n from 1.</summary>
    public IPAddress Ipv4(uint n)
    {
        ArgumentOutOfRangeException.ThrowIfZero(n);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(n, Capacity);
        uint index = n - 1;
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, _network4 + ((1 + (index / PerBlock)) * 256) + 1 + (index % PerBlock));
        return new IPAddress(bytes);
    }

    /// <summary>The n-th guest's IPv6 address, n from 1.</summary>
    public IPAddress Ipv6(uint n)
    {
        ArgumentOutOfRangeException.ThrowIfZero(n);
        Span<byte> bytes = stackalloc byte[16];
        _network6.CopyTo(bytes);
        bytes[13] = 1;
        BinaryPrimitives.WriteUInt16BigEndian(bytes[14..], (ushort)n);
        bytes[12] = (byte)(n >> 16);
        return new IPAddress(bytes);
    }

    /// <summary>Reads an address that an operator wants for a guest; throws <see cref="FormatException"/> with a reason.</summary>
    public IPAddress Wanted(string text, AddressFamily family)
    {
        string kind = family == AddressFamily.InterNetwork ? "IPv4" : "IPv6";
        IPNetwork subnet = family == AddressFamily.InterNetwork ? Subnet4 : Subnet6;
        return !IPAddress.TryParse(text, out IPAddress? address) || address.AddressFamily != family
            ? throw new FormatException($"'{text}' is not an {kind} address")
            : !subnet.Contains(address)
            ? throw new FormatException($"{text} is outside the {kind} subnet {Show(subnet)}")
            : address;
    }

    public static string Show(IPNetwork network) => string.Create(CultureInfo.InvariantCulture, $"{network.BaseAddress}/{network.PrefixLength}");
}
