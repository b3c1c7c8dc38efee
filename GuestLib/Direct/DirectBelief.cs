using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>
/// How far a peer's news is believed. An honest peer tells once at the most for each index that it has moved, and moves no index further than this side's own allow: so there is at least one such move for
/// each piece of news in which nothing has moved. A peer that goes on telling of nothing would keep all who wait here busy, also those who wait for others: after a while its news is not looked at, again and
/// again. What it tells by way of CoreEngine (<see cref="Kicked"/>) is.
/// </content>
internal static unsafe partial class Direct
{
    /// <summary>What has been seen of the connections of one region, by this process.</summary>
    private struct Belief
    {
        /// <summary>News of nothing that is taken before a break, beyond what real news makes up for.</summary>
        private const int Most = 256;

        /// <summary>So much more of it for each millisecond; and how long a break is, in ns.</summary>
        private const long PerMillisecond = 50, Break = 5_000_000, Millisecond = 1_000_000;

        /// <summary>By connection. Threads write without order: news is judged a little wrong then, as if it had come a little earlier or later.</summary>
        private Seen* _seen;

        /// <summary>News of nothing that may still come.</summary>
        private int _left;

        /// <summary>When <see cref="_left"/> was filled last, and until when nothing is looked at (monotonic ns; 0: it is).</summary>
        private long _filled, _until;

        private struct Seen
        {
            internal ulong Inode;
            internal uint Tail, Head;
        }

        internal void Begin()
        {
            _seen = _seen == null ? (Seen*)Libc.Reserve(DirectLayout.Connections * (nuint)sizeof(Seen)) : _seen;
            _left = Most;
            _filled = _until = 0;
        }

        /// <summary>Whether news is looked at now.</summary>
        internal bool Lasts()
        {
            if (_until == 0)
            {
                return true;
            }

            if (Libc.Now() < _until)
            {
                return false;
            }

            _until = 0;
            return true;
        }

        /// <summary>News of a connection was taken, and this is what there was: its socket, or null, and the peer's indices (<see cref="Indices"/>).</summary>
        internal void Judge(SocketSlot* s, uint connection, ulong indices)
        {
            if (s != null && _seen != null && Moved(s, &_seen[connection], (uint)indices, (uint)(indices >> 32)))
            {
                _left = _left < Most ? _left + 2 : Most;
                return;
            }

            if (--_left > 0)
            {
                return;
            }

            long now = Libc.Now(), more = (now - _filled) / Millisecond * PerMillisecond;
            _left = more < Most ? (int)more : Most;
            if (_left == 0)
            {
                _left = 1;
                _until = now + Break;
                return;
            }

            _filled = now;
        }

        /// <summary>Whether an index is further than it was ever seen, and where it may be.</summary>
        private static bool Moved(SocketSlot* s, Seen* seen, uint tail, uint head)
        {
            bool fresh = seen->Inode != s->Inode; // another connection at the same place
            bool written = (fresh || (int)(tail - seen->Tail) > 0) && tail - s->DirectHead <= DirectLayout.RingBytes;
            bool read = (fresh || (int)(head - seen->Head) > 0) && s->DirectTail - head <= DirectLayout.RingBytes;
            seen->Tail = fresh || written ? tail : seen->Tail;
            seen->Head = fresh || read ? head : seen->Head;
            seen->Inode = s->Inode;
            return written | read;
        }
    }
}
