using NetKernel.Channel.Host;

namespace NetKernel.ControlPlane.Network.Steering;

/// <summary>What both programs do first: read a frame's headers into keys on the stack.</summary>
internal static partial class SteeringProgram
{
    /// <summary>
    /// Fills the keys from the frame, and finds the guest's default owner; passes what is of no guest that is steered, or neither TCP, UDP nor ICMP. Goes to "later" for fragments that have
    /// no ports, to "icmp" for ICMP.
    /// </summary>
    private static void Parse(BpfAssembler a, int owners, int addressFour, int addressSix, int peerFour, int peerSix, int guestPort)
    {
        a.Move(Context, 1);
        for (int at = Owner; at < 0; at += 8)
        {
            a.StoreValue(8, BpfAssembler.Frame, at, 0);
        }

        a.StoreValue(8, BpfAssembler.Frame, Part, 0);
        LoadFrame(a, () => a.Set(2, 0), Header, 34);
        a.Load(2, 1, BpfAssembler.Frame, Header + 12);
        a.JumpIfEqual(1, 0x0008, "four");
        a.JumpIfNot(1, 0xDD86, "pass");
        LoadFrame(a, () => a.Set(2, 0), Header, 54);
        a.Load(1, Proto, BpfAssembler.Frame, Header + 20);
        a.Set(LayerFour, 54);
        for (int i = 0; i < 16; i += 4)
        {
            Copy(a, Header + addressSix + i, GuestAddress + i);
            Copy(a, Header + peerSix + i, PeerAddress + i);
        }

        a.JumpIfNot(Proto, FragmentHeader, "ports");
        LoadFrame(a, () => a.Set(2, 54), Word, 8);
        a.Set(LayerFour, 62);
        a.Load(1, Proto, BpfAssembler.Frame, Word);
        Copy(a, Word + 4, PartId);
        FindPart(a, Word + 2, offset: 0xF8FF, more: 0x0100);
        a.Jump("ports");
        a.Label("four");
        a.Load(1, LayerFour, BpfAssembler.Frame, Header + 14);
        a.And(LayerFour, 15);
        a.ShiftLeft(LayerFour, 2);
        a.Add(LayerFour, 14);
        a.Load(2, 1, BpfAssembler.Frame, Header + 18);
        a.Store(2, BpfAssembler.Frame, PartId, 1);
        FindPart(a, Header + 20, offset: 0xFF1F, more: 0x0020);
        a.Load(1, Proto, BpfAssembler.Frame, Header + 23);
        a.StoreValue(2, BpfAssembler.Frame, GuestAddress + 10, 0xFFFF);
        a.StoreValue(2, BpfAssembler.Frame, PeerAddress + 10, 0xFFFF);
        Copy(a, Header + addressFour, GuestAddress + 12);
        Copy(a, Header + peerFour, PeerAddress + 12);

        a.Label("ports");
        CopyLong(a, PeerAddress, Peer);
        CopyLong(a, PeerAddress + 8, Peer + 8);
        a.JumpIfEqual(Proto, Tcp, "known");
        a.JumpIfEqual(Proto, Icmp, "known");
        a.JumpIfEqual(Proto, Icmp6, "known");
        a.JumpIfNot(Proto, Udp, "pass");
        a.Label("known");
        CopyLong(a, GuestAddress, Owner);
        CopyLong(a, GuestAddress + 8, Owner + 8);
        Lookup(a, owners, Owner);
        a.JumpIfEqual(0, 0, "pass");
        a.Move(Found, 0);
        a.Load(4, 1, BpfAssembler.Frame, Part);
        a.JumpIfNot(1, Later, "start");
        a.JumpIfEqual(Proto, Icmp, "pass"); // of an echo: with its first
        a.JumpIfEqual(Proto, Icmp6, "pass");
        a.Jump("later");
        a.Label("start");
        a.JumpIfEqual(Proto, Icmp, "icmp");
        a.JumpIfEqual(Proto, Icmp6, "icmp");
        LoadFrame(a, () => a.Move(2, LayerFour), Word, 4);
        a.Load(2, 1, BpfAssembler.Frame, Word + guestPort);
        a.Store(2, BpfAssembler.Frame, GuestPort, 1);
        a.Load(2, 1, BpfAssembler.Frame, Word + 2 - guestPort);
        a.Store(2, BpfAssembler.Frame, PeerPort, 1);
        a.Store(1, BpfAssembler.Frame, Protocol, Proto);
    }

    /// <summary>Notes which part of a packet this is, by a word of the header (as loaded, so in network order) and its bits.</summary>
    private static void FindPart(BpfAssembler a, int word, int offset, int more)
    {
        string whole = "whole" + word, first = "first" + word;
        a.Load(2, 1, BpfAssembler.Frame, word);
        a.And(1, offset);
        a.JumpIfEqual(1, 0, first);
        a.StoreValue(4, BpfAssembler.Frame, Part, Later);
        a.Jump(whole);
        a.Label(first);
        a.Load(2, 1, BpfAssembler.Frame, word);
        a.And(1, more);
        a.JumpIfEqual(1, 0, whole);
        a.StoreValue(4, BpfAssembler.Frame, Part, First);
        a.Label(whole);
    }

    /// <summary>The TCP flags of that mask, in register 1.</summary>
    private static void Flags(BpfAssembler a, int mask)
    {
        LoadFrame(
            a,
            () =>
            {
                a.Move(2, LayerFour);
                a.Add(2, 13);
            },
            Word,
            1);
        a.Load(1, 1, BpfAssembler.Frame, Word);
        a.And(1, mask);
    }

    private static void LoadFrame(BpfAssembler a, Action offset, int to, int bytes)
    {
        offset();
        a.Move(1, Context);
        a.Move(3, BpfAssembler.Frame);
        a.Add(3, to);
        a.Set(4, bytes);
        a.Call(LoadBytes);
        a.JumpIfNot(0, 0, "pass");
    }

    private static void Copy(BpfAssembler a, int from, int to)
    {
        a.Load(4, 1, BpfAssembler.Frame, from);
        a.Store(4, BpfAssembler.Frame, to, 1);
    }

    private static void CopyLong(BpfAssembler a, int from, int to)
    {
        a.Load(8, 1, BpfAssembler.Frame, from);
        a.Store(8, BpfAssembler.Frame, to, 1);
    }
}
