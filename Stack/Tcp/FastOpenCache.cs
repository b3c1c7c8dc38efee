using System.Runtime.CompilerServices;

namespace NetKernel.Stack;

/// <summary>
/// What peers have given us for Fast Open (RFC 7413, 4.1.3): cookies, with the MSS that data in a SYN may have, and paths on which such SYNs vanish
/// (4.1.3.1). One entry per bucket: a collision forgets the older one, which then asks again.
/// </summary>
internal sealed unsafe class FastOpenCache(RandomSource random)
{
    public const int MaxCookie = 16;
    private const int Buckets = 1024;

    /// <summary>How long a path on which a SYN with data was lost gets ordinary ones: an hour, as on Linux.</summary>
    private const long Distrust = 3_600_000_000;

    private readonly Entry[] _entries = new Entry[Buckets];

    /// <summary>Copies the cookie for a peer; returns its length, or 0: there is none, or the path is not trusted.</summary>
    public int Find(in Address remote, long now, byte* cookie, out ushort mss)
    {
        ref Entry e = ref At(remote);
        mss = e.Mss;
        if (e.Remote != remote || now < e.NotBefore)
        {
            return 0;
        }

        for (int i = 0; i < e.Length; i++)
        {
            cookie[i] = e.Cookie[i];
        }

        return e.Length;
    }

    /// <summary>Whether Fast Open may be tried with a peer.</summary>
    public bool IsTrusted(in Address remote, long now) => At(remote).Remote != remote || now >= At(remote).NotBefore;

    /// <summary>Keeps what a peer's SYN-ACK says.</summary>
    public void Learn(in Address remote, in TcpSegment s)
    {
        ref Entry e = ref At(remote);
        long notBefore = e.Remote == remote ? e.NotBefore : 0;
        e = new Entry { Remote = remote, Mss = s.Mss, Length = s.CookieLength, NotBefore = notBefore };
        for (int i = 0; i < s.CookieLength; i++)
        {
            e.Cookie[i] = s.Cookie[i];
        }
    }

    /// <summary>A SYN with data got no answer, an ordinary one did: something on the path drops them.</summary>
    public void Blame(in Address remote, long now)
    {
        ref Entry e = ref At(remote);
        if (e.Remote == remote)
        {
            e.NotBefore = now + Distrust;
        }
    }

    private ref Entry At(in Address remote) => ref _entries[random.TableHash(remote, default, 0, 1) % Buckets];

    private struct Entry
    {
        public Address Remote;
        public long NotBefore;
        public ushort Mss;
        public byte Length;
        public CookieBytes Cookie;
    }

    [InlineArray(MaxCookie)]
    private struct CookieBytes
    {
        private byte _first;
    }
}
