using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>Loses, doubles and delays frames, with a fixed seed.</summary>
internal sealed unsafe class ImpairedLink(Device device, Wire wire) : ILink
{
    private readonly Random _random = new(7);
    private readonly byte[] _kept = new byte[4096];
    private int _keptLength;
    private uint _keptStart, _keptOffset;

    public uint Mtu => wire.Mtu;

    public ulong Mac => device.Mac;

    public bool FinishesChecksums => device.FinishesChecksums;

    public uint MaxGso => wire.Gso ? device.MaxGso : 0;

    public uint Receive(NetworkStack stack) => device.Receive(stack);

    public bool Transmit(in OutFrame frame)
    {
        if (wire.Loss != 0 && _random.NextDouble() < wire.Loss)
        {
            return true;
        }

        if (wire.Duplicate != 0 && _random.NextDouble() < wire.Duplicate)
        {
            _ = device.Transmit(frame);
        }

        if (wire.Reorder != 0 && _keptLength == 0 && frame.GsoSize == 0 && frame.ChecksumStart != 0 && _random.NextDouble() < wire.Reorder)
        {
            _keptLength = (int)(frame.HeaderLength + frame.PayloadLength);
            fixed (byte* p = _kept)
            {
                NetworkStack.Flatten(frame, p);
            }

            _keptStart = frame.ChecksumStart;
            _keptOffset = frame.ChecksumOffset;
            return true;
        }

        bool sent = device.Transmit(frame);
        if (_keptLength != 0)
        {
            fixed (byte* p = _kept)
            {
                OutFrame late = new() { Header = p, HeaderLength = (uint)_keptLength, ChecksumStart = _keptStart, ChecksumOffset = _keptOffset };
                _keptLength = 0;
                _ = device.Transmit(late);
            }
        }

        return sent;
    }
}
