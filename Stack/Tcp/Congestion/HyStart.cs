namespace NetKernel.Stack;

/// <summary>
/// HyStart++ (RFC 9406): slow start is left when the round trip grows, over five rounds of slower growth (conservative slow start) in which it may turn out that it was only jitter.
/// A part of the state of a congestion control, cleared with it.
/// </summary>
internal unsafe struct HyStart
{
    // 4.3, the recommended constants.
    private const long MinThreshold = 4_000, MaxThreshold = 16_000;
    private const int RttDivisor = 8, SamplesNeeded = 8, GrowthDivisor = 4, ConservativeRounds = 5;

    /// <summary>L: segments that one ACK may let the window grow by, of a sender that does not pace.</summary>
    private const uint MostSegments = 8;

    private long _lastRound, _thisRound, _baseline;
    private uint _roundEnd, _rest;
    private byte _samples, _conservative;

    /// <summary>Whether it grows slowly now, to see.</summary>
    public readonly bool IsConservative => _conservative != 0;

    /// <summary>
    /// An acknowledgement in slow start (4.2): takes its round trip, and says how many of the bytes acknowledged the window is to grow by. May end slow start, by setting ssthresh.
    /// </summary>
    public uint Acked(Tcb* t, in AckSample sample)
    {
        if (_roundEnd == 0 || Seq.AtLeast(t->SndUna, _roundEnd))
        {
            BeginRound(t);
        }

        if (sample.Rtt >= 0)
        {
            _thisRound = _thisRound == 0 || sample.Rtt < _thisRound ? sample.Rtt : _thisRound;
            _samples = (byte)Math.Min(_samples + 1, 255);
            Judge();
        }

        if (_conservative > ConservativeRounds)
        {
            t->Ssthresh = t->Cwnd;
            _conservative = 0;
            return sample.Acked;
        }

        uint most = t->PacingRate != 0 ? uint.MaxValue : MostSegments * t->Mss;
        uint grow = Math.Min(sample.Acked, most);
        if (!IsConservative)
        {
            return grow;
        }

        grow += _rest;
        _rest = grow % GrowthDivisor;
        return grow / GrowthDivisor;
    }

    /// <summary>A loss: slow start begins anew some day.</summary>
    public void Reset() => this = default;

    private void BeginRound(Tcb* t)
    {
        _lastRound = _thisRound;
        _thisRound = 0;
        _samples = 0;
        _roundEnd = t->SndNxt | 1; // 0: there is no round
        _conservative += (byte)(IsConservative ? 1 : 0);
    }

    private void Judge()
    {
        if (_samples < SamplesNeeded)
        {
            return;
        }

        if (IsConservative)
        {
            if (_thisRound < _baseline)
            {
                _conservative = 0; // The round trip is short again: it was jitter.
                _baseline = 0;
            }

            return;
        }

        if (_lastRound != 0 && _thisRound >= _lastRound + Math.Clamp(_lastRound / RttDivisor, MinThreshold, MaxThreshold))
        {
            _baseline = _thisRound;
            _conservative = 1;
        }
    }
}
