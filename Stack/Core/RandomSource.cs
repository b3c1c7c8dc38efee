namespace NetKernel.Stack;

/// <summary>xoshiro256** and a keyed hash, from a seed that the caller took from a true random source (or fixed, in a test).</summary>
public sealed class RandomSource
{
    private readonly ulong _key0, _key1;
    private ulong _a, _b, _c, _d;

    /// <summary>From 128 bits of seed.</summary>
    public RandomSource(ulong seed0, ulong seed1)
    {
        ulong x = seed0;
        _a = Mix(ref x);
        _b = Mix(ref x);
        x ^= seed1;
        _c = Mix(ref x);
        _d = Mix(ref x) | 1;
        _key0 = Next();
        _key1 = Next();
    }

    /// <summary>64 random bits.</summary>
    public ulong Next()
    {
        ulong result = ulong.RotateLeft(_b * 5, 7) * 9;
        ulong t = _b << 17;
        _c ^= _a;
        _d ^= _b;
        _b ^= _c;
        _a ^= _d;
        _c ^= t;
        _d = ulong.RotateLeft(_d, 45);
        return result;
    }

    /// <summary>A number below the limit.</summary>
    public uint Below(uint limit) => (uint)(((Next() >> 32) * limit) >> 32);

    /// <summary>SipHash-2-4 of two addresses, two ports and one more word, under this source's secret key.</summary>
    public ulong Hash(in Address local, in Address remote, ushort localPort, ushort remotePort, ulong more)
    {
        ulong v0 = _key0 ^ 0x736f6d6570736575, v1 = _key1 ^ 0x646f72616e646f6d, v2 = _key0 ^ 0x6c7967656e657261, v3 = _key1 ^ 0x7465646279746573;
        Absorb(ref v0, ref v1, ref v2, ref v3, local.Low);
        Absorb(ref v0, ref v1, ref v2, ref v3, local.High);
        Absorb(ref v0, ref v1, ref v2, ref v3, remote.Low);
        Absorb(ref v0, ref v1, ref v2, ref v3, remote.High);
        Absorb(ref v0, ref v1, ref v2, ref v3, ((ulong)localPort << 16) | remotePort);
        Absorb(ref v0, ref v1, ref v2, ref v3, more);
        Absorb(ref v0, ref v1, ref v2, ref v3, 48ul << 56);
        v2 ^= 0xFF;
        for (int i = 0; i < 4; i++)
        {
            Round(ref v0, ref v1, ref v2, ref v3);
        }

        return v0 ^ v1 ^ v2 ^ v3;
    }

    /// <summary>A fast hash for tables under this source's secret key.</summary>
    internal uint TableHash(in Address local, in Address remote, ushort localPort, ushort remotePort)
    {
        ulong x = (local.Low ^ _key0) + ulong.RotateLeft(local.High, 29);
        ulong y = (remote.Low ^ _key1) + ulong.RotateLeft(remote.High, 31);
        ulong h = Math.BigMul(x ^ 0x9E3779B97F4A7C15, (y ^ (((ulong)localPort << 48) | remotePort)) | 1, out ulong low) ^ low;
        h = Math.BigMul(h ^ _key1, (y + localPort + ((ulong)remotePort << 16)) ^ 0xD6E8FEB86659FD93 ^ _key0, out low) ^ low;
        return (uint)(h ^ (h >> 32));
    }

    private static void Absorb(ref ulong v0, ref ulong v1, ref ulong v2, ref ulong v3, ulong m)
    {
        v3 ^= m;
        Round(ref v0, ref v1, ref v2, ref v3);
        Round(ref v0, ref v1, ref v2, ref v3);
        v0 ^= m;
    }

    private static void Round(ref ulong v0, ref ulong v1, ref ulong v2, ref ulong v3)
    {
        v0 += v1;
        v1 = ulong.RotateLeft(v1, 13) ^ v0;
        v0 = ulong.RotateLeft(v0, 32);
        v2 += v3;
        v3 = ulong.RotateLeft(v3, 16) ^ v2;
        v0 += v3;
        v3 = ulong.RotateLeft(v3, 21) ^ v0;
        v2 += v1;
        v1 = ulong.RotateLeft(v1, 17) ^ v2;
        v2 = ulong.RotateLeft(v2, 32);
    }

    private static ulong Mix(ref ulong x)
    {
        ulong z = x += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
