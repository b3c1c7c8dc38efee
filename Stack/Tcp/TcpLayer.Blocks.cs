namespace NetKernel.Stack;

/// <content>Blocks of received bytes that wait for what is missing before them, or for somebody to take them.</content>
public sealed unsafe partial class TcpLayer
{
    /// <summary>Puts bytes into blocks where none are yet. Returns how many of them, from the first on, are held now.</summary>
    private uint Store(Tcb* t, uint seq, byte* data, uint length)
    {
        uint most = (Math.Max(t->RcvBuf, t->RcvAdv - t->RcvRead) / 1024) + 16; // What was promised is kept, also when the buffer has become smaller.
        uint end = seq + length;
        uint at = seq;
        RxBlock* before = null;
        if (t->RxLast != null && Seq.AtLeast(seq, t->RxLast->Start))
        {
            before = t->RxLast;
        }
        else
        {
            for (RxBlock* b = t->RxFirst; b != null && Seq.AtMost(b->Start, seq); b = b->Next)
            {
                before = b;
            }
        }

        while (Seq.Before(at, end))
        {
            if (before != null && Seq.After(before->End, at))
            {
                at = before->End; // These are here already.
                continue;
            }

            RxBlock* next = before == null ? t->RxFirst : before->Next;
            uint stop = next != null && Seq.Before(next->Start, end) ? next->Start : end;
            if (at == stop)
            {
                before = next;
                continue;
            }

            uint space = before != null && before->End == at ? RxBlock.Capacity - before->Length : 0;
            if (space == 0)
            {
                RxBlock* b = t->RxBlocks >= most ? null : (RxBlock*)_blocks.Take();
                if (b == null)
                {
                    return at - seq;
                }

                t->RxBlocks++;
                b->Start = at;
                b->Length = 0;
                b->Next = next;
                if (before == null)
                {
                    t->RxFirst = b;
                }
                else
                {
                    before->Next = b;
                }

                if (next == null)
                {
                    t->RxLast = b;
                }

                before = b;
                space = RxBlock.Capacity;
            }

            uint piece = stop - at < space ? stop - at : space;
            Buffer.MemoryCopy(data + (at - seq), RxBlock.Data(before) + before->Length, piece, piece);
            before->Length += piece;
            at += piece;
        }

        return length;
    }

    private void RemoveFirst(Tcb* t)
    {
        RxBlock* b = t->RxFirst;
        t->RxFirst = b->Next;
        if (t->RxFirst == null)
        {
            t->RxLast = null;
        }

        t->RxBlocks--;
        _blocks.Give(b);
    }
}
