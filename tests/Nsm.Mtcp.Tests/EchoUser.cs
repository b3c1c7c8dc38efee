using System.Runtime.InteropServices;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>Programs on our stack: echo what comes, or send a pattern and check what comes back.</summary>
internal sealed unsafe class EchoUser(NetworkStack stack) : ITcpUser
{
    private readonly Dictionary<nint, Program> _programs = [];
    private readonly List<nint> _listeners = [];

    public int Served { get; private set; }

    public static byte Pattern(long at) => (byte)((at * 2654435761L) >> 13);

    public void Listen(string address, ushort port)
    {
        Tcb* t = stack.Tcp.Open((void*)1);
        Assert.Equal(0, stack.Tcp.Bind(t, KernelPeer.ParseAddress(address), port, true, false));
        Assert.Equal(0, stack.Tcp.Listen(t, 512));
        _listeners.Add((nint)t);
    }

    /// <summary>Connects and sends that many bytes.</summary>
    public Program Dial(string local, string remote, ushort port, long bytes)
    {
        Tcb* t = stack.Tcp.Open((void*)1);
        Program p = new(t) { ToSend = bytes };
        _programs[(nint)t] = p;
        Assert.Equal(0, stack.Tcp.Connect(t, KernelPeer.ParseAddress(local), KernelPeer.ParseAddress(remote), port));
        return p;
    }

    /// <summary>One turn of all programs.</summary>
    public void Run()
    {
        foreach (nint listener in _listeners)
        {
            for (Tcb* t; (t = TcpLayer.Accept((Tcb*)listener)) != null;)
            {
                t->User = (void*)1;
                _programs[(nint)t] = new Program(t) { Echoes = true };
            }
        }

        List<nint>? ended = null;
        foreach ((nint key, Program p) in _programs)
        {
            Tcb* t = p.Tcb;
            if (t->Unread != 0 && p.Echoes ? p.Room > Program.Size / 2 : t->Unread != 0)
            {
                stack.Tcp.Pull(t);
            }

            if (!p.Echoes && t->State is TcpState.Established or TcpState.CloseWait)
            {
                long room = Math.Min(p.ToSend - p.Written, p.Room);
                for (long i = 0; i < room; i++)
                {
                    p.Put(Pattern(p.Written));
                }

                if (room > 0)
                {
                    stack.Tcp.Write(t, (uint)room, more: false);
                }

                if (p.Written == p.ToSend)
                {
                    stack.Tcp.Shutdown(t);
                }
            }
            else if (p.Pending > 0)
            {
                stack.Tcp.Write(t, (uint)p.Pending, more: false);
                p.Pending = 0;
            }

            if (t->AtEnd && p.Echoes)
            {
                stack.Tcp.Shutdown(t);
            }

            p.Error = t->Error;
            if ((t->State == TcpState.Closed && t->Unread == 0) || (t->AtEnd && t->Buffered == 0 && t->IsAllAcked))
            {
                p.Done = true;
                Served += p.Error == 0 ? 1 : 0;
                stack.Tcp.Detach(t);
                (ended ??= []).Add(key);
                p.Free();
            }
        }

        ended?.ForEach(key => _programs.Remove(key));
    }

    void ITcpUser.Changed(Tcb* t)
    {
    }

    uint ITcpUser.Receive(Tcb* t, byte* data, uint length) => _programs.TryGetValue((nint)t, out Program? p) ? p.Take(data, length) : 0;

    void ITcpUser.Acked(Tcb* t, uint bytes) => _programs[(nint)t].Acked += bytes;

    uint ITcpUser.Gather(Tcb* t, uint offset, uint length, Extent* pieces, uint most, out uint found) => _programs[(nint)t].Gather(offset, length, pieces, out found);

    internal sealed class Program(Tcb* t)
    {
        public const int Size = 1 << 20;
        private byte* _ring = (byte*)NativeMemory.Alloc(Size);

        public Tcb* Tcb { get; } = t;

        public bool Echoes { get; init; }

        public long ToSend { get; init; }

        public long Written { get; private set; }

        public long Acked { get; set; }

        public long Received { get; private set; }

        public long Pending { get; set; }

        public long Wrong { get; private set; }

        public int Error { get; set; }

        public bool Done { get; set; }

        public long Room => Size - (Written - Acked);

        public void Put(byte value) => _ring[Written++ & (Size - 1)] = value;

        public void Free() => NativeMemory.Free(_ring);

        public uint Take(byte* data, uint length)
        {
            if (Echoes)
            {
                length = (uint)Math.Min(length, Room);
                for (uint i = 0; i < length; i++)
                {
                    Put(data[i]);
                }

                Pending += length;
                return length;
            }

            for (uint i = 0; i < length; i++)
            {
                Wrong += data[i] == Pattern(Received++) ? 0 : 1;
            }

            return length;
        }

        public uint Gather(uint offset, uint length, Extent* pieces, out uint found)
        {
            uint at = (uint)((Acked + offset) & (Size - 1));
            uint first = Math.Min(length, Size - at);
            pieces[0] = new Extent { Start = _ring + at, Length = first };
            pieces[1] = new Extent { Start = _ring, Length = length - first };
            found = length;
            return first == length ? 1u : 2;
        }
    }
}
